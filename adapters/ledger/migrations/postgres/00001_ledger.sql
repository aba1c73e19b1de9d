-- The ledger's tables. Words and types are those of contracts; times are microseconds since 1970 UTC, 0 for none;
-- an empty text means "not known". Faults and findings are JSON. Texts are compared by their bytes (collation C).
--
-- What custody stands on (entries, deliveries, journeys, keys) has one row for each id in all time. History (steps, ids,
-- bodies) lies in months of the message's receipt: the program makes and drops the partitions. month is 202409 for
-- September 2024, UTC.

-- +goose Up

-- entries: one row a message. shown is its state as lists show it: the least advanced of its deliveries', else state.
CREATE TABLE entries (
    id              TEXT COLLATE "C" NOT NULL,
    partner         TEXT   NOT NULL,
    format          TEXT   NOT NULL,
    control         TEXT COLLATE "C" NOT NULL,
    type            TEXT   NOT NULL,
    version         TEXT   NOT NULL,
    application     TEXT   NOT NULL,
    facility        TEXT   NOT NULL,
    key             TEXT   NOT NULL,
    received        BIGINT NOT NULL,
    journey         TEXT COLLATE "C" NOT NULL,
    origin          TEXT   NOT NULL,
    event           TEXT   NOT NULL,
    cause           TEXT   NOT NULL,
    state           TEXT   NOT NULL,
    shown           TEXT COLLATE "C" NOT NULL,
    map             TEXT   NOT NULL,
    canonical       TEXT COLLATE "C" NOT NULL,
    digest          TEXT   NOT NULL,
    fault           TEXT   NOT NULL,
    place_topic     TEXT   NOT NULL,
    place_partition BIGINT NOT NULL,
    place_offset    BIGINT NOT NULL,
    PRIMARY KEY (id)
);
CREATE INDEX entries_received ON entries (received, id);
CREATE INDEX entries_shown    ON entries (shown, received, id) WHERE shown <> 'delivered';
CREATE INDEX entries_partner  ON entries (partner, received, id);
CREATE INDEX entries_type     ON entries (type, received, id);
CREATE INDEX entries_control  ON entries (control) WHERE control <> '';
CREATE INDEX entries_journey  ON entries (journey) WHERE journey <> '';

-- deliveries: one row a message for one receiver. rank orders states from the least advanced.
CREATE TABLE deliveries (
    seq             BIGINT GENERATED ALWAYS AS IDENTITY,
    id              TEXT COLLATE "C" NOT NULL,
    message         TEXT COLLATE "C" NOT NULL,
    journey         TEXT    NOT NULL,
    partner         TEXT    NOT NULL,
    route           TEXT    NOT NULL,
    generation      BIGINT  NOT NULL,
    control         TEXT    NOT NULL,
    type            TEXT    NOT NULL,
    format          TEXT    NOT NULL,
    map             TEXT    NOT NULL,
    key             TEXT    NOT NULL,
    digest          TEXT    NOT NULL,
    state           TEXT    NOT NULL,
    rank            BIGINT  NOT NULL,
    attempts        BIGINT  NOT NULL,
    unknown         BOOLEAN NOT NULL,
    answer          TEXT    NOT NULL,
    fault           TEXT    NOT NULL,
    place_topic     TEXT    NOT NULL,
    place_partition BIGINT  NOT NULL,
    place_offset    BIGINT  NOT NULL,
    received        BIGINT  NOT NULL, -- when its message was
    PRIMARY KEY (id)
) WITH (fillfactor = 70); -- an attempt finds room beside its row, and touches no index
CREATE INDEX deliveries_message ON deliveries (message);
CREATE INDEX deliveries_partner ON deliveries (partner, received, message);

-- A sequence of its own, because a partition can't share its parent's identity column.
CREATE SEQUENCE steps_seq;
CREATE TABLE steps (
    seq      BIGINT NOT NULL DEFAULT nextval('steps_seq'),
    id       TEXT COLLATE "C" NOT NULL,
    at       BIGINT NOT NULL,
    journey  TEXT   NOT NULL,
    message  TEXT COLLATE "C" NOT NULL,
    control  TEXT   NOT NULL,
    type     TEXT   NOT NULL,
    step     TEXT   NOT NULL,
    sender   TEXT   NOT NULL,
    receiver TEXT   NOT NULL,
    map      TEXT   NOT NULL,
    attempt  BIGINT NOT NULL,
    answer   TEXT   NOT NULL,
    digest   TEXT   NOT NULL,
    fault    TEXT   NOT NULL,
    findings TEXT   NOT NULL,
    reason   TEXT   NOT NULL, -- an operator's own words
    other    TEXT   NOT NULL, -- the message that a reprocessing made, or was made from
    month    INTEGER NOT NULL,
    PRIMARY KEY (message, id, month)
) PARTITION BY LIST (month);

-- ids: under which value a partner knows a message or journey. owner is the message, or the journey where the name
-- belongs to no one message: so a name has one row for each thing that it names. Those of a journey lie in month 0: they go
-- with it, whatever became of the messages that brought them.
CREATE TABLE ids (
    value   TEXT COLLATE "C" NOT NULL,
    partner TEXT COLLATE "C" NOT NULL,
    kind    TEXT COLLATE "C" NOT NULL,
    owner   TEXT COLLATE "C" NOT NULL,
    message TEXT COLLATE "C" NOT NULL,
    journey TEXT COLLATE "C" NOT NULL,
    month   INTEGER NOT NULL,
    PRIMARY KEY (value, partner, kind, owner, month)
) PARTITION BY LIST (month);
CREATE TABLE ids_journeys PARTITION OF ids FOR VALUES IN (0);
CREATE INDEX ids_journey ON ids (journey) WHERE journey <> '';
-- The identifiers of a message without a journey; those of one with a journey are found by that.
CREATE INDEX ids_message ON ids (message) WHERE journey = '';

CREATE TABLE journeys (
    id      TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    state   TEXT   NOT NULL,
    started BIGINT NOT NULL,
    updated BIGINT NOT NULL
);

-- bodies: what a digest names, in the envelope form of contracts, which is packed already. received: when the youngest
-- message that has this body was received in this month.
CREATE TABLE bodies (
    digest   TEXT COLLATE "C" NOT NULL,
    received BIGINT NOT NULL,
    body     BYTEA  NOT NULL,
    month    INTEGER NOT NULL,
    PRIMARY KEY (digest, month)
) PARTITION BY LIST (month);
ALTER TABLE bodies ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE INDEX bodies_received ON bodies (received);

-- keys: those that aren't live.
CREATE TABLE keys (
    topic     TEXT COLLATE "C" NOT NULL,
    key       TEXT COLLATE "C" NOT NULL,
    condition TEXT   NOT NULL,
    since     BIGINT NOT NULL,
    message   TEXT   NOT NULL,
    fault     TEXT   NOT NULL,
    PRIMARY KEY (topic, key)
);

-- waiting: what stands behind a key, in the order of seq. The key's row stays as long as one of these does.
CREATE TABLE waiting (
    topic          TEXT COLLATE "C" NOT NULL,
    key            TEXT COLLATE "C" NOT NULL,
    seq            BIGINT NOT NULL,
    message        TEXT COLLATE "C" NOT NULL,
    park_topic     TEXT   NOT NULL,
    park_partition BIGINT NOT NULL,
    park_offset    BIGINT NOT NULL,
    since          BIGINT NOT NULL,
    due            BIGINT NOT NULL,
    attempts       BIGINT NOT NULL,
    PRIMARY KEY (topic, key, seq),
    UNIQUE (topic, key, message),
    FOREIGN KEY (topic, key) REFERENCES keys (topic, key)
);

CREATE TABLE pauses (
    partner  TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    since    BIGINT NOT NULL,
    operator TEXT   NOT NULL,
    reason   TEXT   NOT NULL -- the operator's own words
);

CREATE TABLE fixed (
    name  TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

-- pulse is written by health checks, which are true only if they write.
CREATE TABLE pulse (
    one  BIGINT NOT NULL PRIMARY KEY,
    beat BIGINT NOT NULL
);
INSERT INTO pulse (one, beat) VALUES (1, 0);

-- +goose Down
DROP TABLE pulse, fixed, pauses, waiting, keys, bodies, journeys, ids, steps, deliveries, entries;
DROP SEQUENCE steps_seq;

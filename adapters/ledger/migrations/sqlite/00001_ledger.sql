-- The ledger's tables. Words and types are those of contracts; times are microseconds since 1970 UTC, 0 for none;
-- an empty text means "not known". Faults and findings are JSON.

-- +goose Up

-- Ids are hashes, so a row stands where it was written and only its id is sorted: a commit then touches few pages.

-- entries: one row a message. shown is its state as lists show it: the least advanced of its deliveries', else state.
CREATE TABLE entries (
    seq             INTEGER PRIMARY KEY,
    id              TEXT    NOT NULL UNIQUE,
    partner         TEXT    NOT NULL,
    format          TEXT    NOT NULL,
    control         TEXT    NOT NULL,
    type            TEXT    NOT NULL,
    version         TEXT    NOT NULL,
    application     TEXT    NOT NULL,
    facility        TEXT    NOT NULL,
    key             TEXT    NOT NULL,
    received        BIGINT  NOT NULL,
    journey         TEXT    NOT NULL,
    origin          TEXT    NOT NULL,
    event           TEXT    NOT NULL,
    cause           TEXT    NOT NULL,
    state           TEXT    NOT NULL,
    shown           TEXT    NOT NULL,
    map             TEXT    NOT NULL,
    canonical       TEXT    NOT NULL,
    digest          TEXT    NOT NULL,
    fault           TEXT    NOT NULL,
    place_topic     TEXT    NOT NULL,
    place_partition INTEGER NOT NULL,
    place_offset    BIGINT  NOT NULL
);
CREATE INDEX entries_received ON entries (received, id);
CREATE INDEX entries_shown    ON entries (shown, received, id);
CREATE INDEX entries_control  ON entries (control) WHERE control <> '';
CREATE INDEX entries_journey  ON entries (journey) WHERE journey <> '';

-- deliveries: one row a message for one receiver. rank orders states from the least advanced.
CREATE TABLE deliveries (
    seq             INTEGER PRIMARY KEY,
    id              TEXT    NOT NULL UNIQUE,
    message         TEXT    NOT NULL,
    journey         TEXT    NOT NULL,
    partner         TEXT    NOT NULL,
    route           TEXT    NOT NULL,
    generation      INTEGER NOT NULL,
    control         TEXT    NOT NULL,
    type            TEXT    NOT NULL,
    format          TEXT    NOT NULL,
    map             TEXT    NOT NULL,
    key             TEXT    NOT NULL,
    digest          TEXT    NOT NULL,
    state           TEXT    NOT NULL,
    rank            INTEGER NOT NULL,
    attempts        INTEGER NOT NULL,
    unknown         INTEGER NOT NULL,
    answer          TEXT    NOT NULL,
    fault           TEXT    NOT NULL,
    place_topic     TEXT    NOT NULL,
    place_partition INTEGER NOT NULL,
    place_offset    BIGINT  NOT NULL
);
CREATE INDEX deliveries_message ON deliveries (message, partner);
CREATE INDEX deliveries_control ON deliveries (control) WHERE control <> '';

CREATE TABLE steps (
    seq      INTEGER PRIMARY KEY,
    id       TEXT    NOT NULL UNIQUE,
    at       BIGINT  NOT NULL,
    journey  TEXT    NOT NULL,
    message  TEXT    NOT NULL,
    control  TEXT    NOT NULL,
    type     TEXT    NOT NULL,
    step     TEXT    NOT NULL,
    sender   TEXT    NOT NULL,
    receiver TEXT    NOT NULL,
    map      TEXT    NOT NULL,
    attempt  INTEGER NOT NULL,
    answer   TEXT    NOT NULL,
    digest   TEXT    NOT NULL,
    fault    TEXT    NOT NULL,
    findings TEXT    NOT NULL,
    reason   TEXT    NOT NULL -- an operator's own words
);
CREATE INDEX steps_message ON steps (message);
CREATE INDEX steps_journey ON steps (journey) WHERE journey <> '';

-- ids: under which value a partner knows a message or journey. owner is the message, or the journey where the name
-- belongs to no one message: so a name has one row for each thing that it names.
CREATE TABLE ids (
    value   TEXT NOT NULL,
    partner TEXT NOT NULL,
    kind    TEXT NOT NULL,
    owner   TEXT NOT NULL,
    message TEXT NOT NULL,
    journey TEXT NOT NULL,
    PRIMARY KEY (value, partner, kind, owner)
) WITHOUT ROWID;
CREATE INDEX ids_journey ON ids (journey) WHERE journey <> '';

CREATE TABLE journeys (
    id      TEXT   NOT NULL PRIMARY KEY,
    state   TEXT   NOT NULL,
    started BIGINT NOT NULL,
    updated BIGINT NOT NULL
) WITHOUT ROWID;

-- bodies: what a digest names, in the envelope form of contracts.
CREATE TABLE bodies (
    digest TEXT NOT NULL PRIMARY KEY,
    body   BLOB NOT NULL
);

-- keys: those that aren't live.
CREATE TABLE keys (
    topic     TEXT   NOT NULL,
    key       TEXT   NOT NULL,
    condition TEXT   NOT NULL,
    since     BIGINT NOT NULL,
    message   TEXT   NOT NULL,
    fault     TEXT   NOT NULL,
    PRIMARY KEY (topic, key)
) WITHOUT ROWID;

-- waiting: what stands behind a key, in the order of seq. The key's row stays as long as one of these does.
CREATE TABLE waiting (
    topic          TEXT    NOT NULL,
    key            TEXT    NOT NULL,
    seq            BIGINT  NOT NULL,
    message        TEXT    NOT NULL,
    park_topic     TEXT    NOT NULL,
    park_partition INTEGER NOT NULL,
    park_offset    BIGINT  NOT NULL,
    since          BIGINT  NOT NULL,
    due            BIGINT  NOT NULL,
    attempts       INTEGER NOT NULL,
    PRIMARY KEY (topic, key, seq),
    UNIQUE (topic, key, message),
    FOREIGN KEY (topic, key) REFERENCES keys (topic, key)
) WITHOUT ROWID;

CREATE TABLE fixed (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

-- pulse is written by health checks, which are true only if they write.
CREATE TABLE pulse (
    one  INTEGER NOT NULL PRIMARY KEY,
    beat BIGINT  NOT NULL
);
INSERT INTO pulse (one, beat) VALUES (1, 0);

-- +goose Down
DROP TABLE pulse;
DROP TABLE fixed;
DROP TABLE waiting;
DROP TABLE keys;
DROP TABLE bodies;
DROP TABLE journeys;
DROP TABLE ids;
DROP TABLE steps;
DROP TABLE deliveries;
DROP TABLE entries;

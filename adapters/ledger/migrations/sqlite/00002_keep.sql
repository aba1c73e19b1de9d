-- What an operator paused, what the ledger needs to forget what is old, and fewer sorted copies of what is written often:
-- each index whose values come in no order costs a page of its own for every row.

-- +goose Up
CREATE TABLE pauses (
    partner  TEXT   NOT NULL PRIMARY KEY,
    since    BIGINT NOT NULL,
    operator TEXT   NOT NULL,
    reason   TEXT   NOT NULL -- the operator's own words
) WITHOUT ROWID;

-- received: when the youngest message that has this body was received.
ALTER TABLE bodies ADD COLUMN received BIGINT NOT NULL DEFAULT 0;
CREATE INDEX bodies_received ON bodies (received);

-- A step is known by its message and its id, so that a message's steps stand together in the only index.
CREATE TABLE new_steps (
    seq      INTEGER PRIMARY KEY,
    id       TEXT    NOT NULL,
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
    reason   TEXT    NOT NULL, -- an operator's own words
    UNIQUE (message, id)
);
INSERT INTO new_steps SELECT * FROM steps ORDER BY seq;
DROP TABLE steps;
ALTER TABLE new_steps RENAME TO steps;

-- Identifiers stand where they were written, too.
CREATE TABLE new_ids (
    value   TEXT NOT NULL,
    partner TEXT NOT NULL,
    kind    TEXT NOT NULL,
    owner   TEXT NOT NULL,
    message TEXT NOT NULL,
    journey TEXT NOT NULL,
    UNIQUE (value, partner, kind, owner)
);
INSERT INTO new_ids SELECT * FROM ids;
DROP TABLE ids;
ALTER TABLE new_ids RENAME TO ids;
CREATE INDEX ids_journey ON ids (journey) WHERE journey <> '';
-- The identifiers of a message without a journey; those of one with a journey are found by that.
CREATE INDEX ids_message ON ids (message) WHERE journey = '';

-- Nearly all messages are delivered: whoever looks for them reads all by time.
DROP INDEX entries_shown;
CREATE INDEX entries_shown ON entries (shown, received, id) WHERE shown <> 'delivered';

-- A delivery's control id is among its message's identifiers.
DROP INDEX deliveries_control;

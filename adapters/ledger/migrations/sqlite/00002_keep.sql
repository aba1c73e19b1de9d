-- What an operator paused, and what the ledger needs to forget what is old.

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

-- The identifiers of a message without a journey; those of one with a journey are found by that.
CREATE INDEX ids_message ON ids (message) WHERE journey = '';

-- +goose Down
DROP INDEX ids_message;
DROP INDEX bodies_received;
ALTER TABLE bodies DROP COLUMN received;
DROP TABLE pauses;

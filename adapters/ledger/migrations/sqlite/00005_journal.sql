-- What was applied and doesn't stand in the tables yet, in the order of seq: several changes a row, JSON in the envelope
-- form of contracts. It is empty when the ledger is closed in order.

-- +goose Up
CREATE TABLE journal (
    seq     INTEGER PRIMARY KEY,
    changes BLOB NOT NULL
);

-- +goose Down
DROP TABLE journal;

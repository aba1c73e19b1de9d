-- What a process that was killed left in the journal, and nobody could read or write: kept for whoever looks into it.

-- +goose Up
CREATE TABLE aside (
    seq     INTEGER PRIMARY KEY,
    changes BLOB NOT NULL
);

-- +goose Down
DROP TABLE aside;

-- Which version of a map is active from when on. Rows are never changed.

-- +goose Up
CREATE TABLE activations (
    id       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    map      TEXT   NOT NULL,
    version  TEXT   NOT NULL,
    before   TEXT   NOT NULL,
    partner  TEXT   NOT NULL,
    type     TEXT   NOT NULL,
    at       BIGINT NOT NULL,
    made     BIGINT NOT NULL,
    operator TEXT   NOT NULL,
    reason   TEXT   NOT NULL -- the operator's own words
);

-- +goose Down
DROP TABLE activations;

-- +goose Up
-- floor: offsets below it were removed by age, so a topic never gives an offset twice.
CREATE TABLE topics (
    id    INTEGER PRIMARY KEY,
    name  TEXT    NOT NULL UNIQUE,
    floor INTEGER NOT NULL DEFAULT 0
) STRICT;

-- place is topic << 40 | offset. at is in microseconds since 1970, UTC. body is in envelope form; when it is large it
-- is NULL and large names its file in the folder of bodies.
CREATE TABLE records (
    place  INTEGER PRIMARY KEY,
    topic  INTEGER NOT NULL,
    key    TEXT    NOT NULL,
    id     TEXT    NOT NULL,
    at     INTEGER NOT NULL,
    header TEXT    NOT NULL,
    body   BLOB,
    large  TEXT
) STRICT;
-- Keys are looked up in buckets of 4096 neighbours: a new record's entry goes next to the last ones.
CREATE INDEX records_key   ON records (topic, place >> 12, key);
CREATE INDEX records_at    ON records (topic, at);
CREATE INDEX records_large ON records (large) WHERE large IS NOT NULL;

-- next is the low watermark: every record of the topic below this offset is finished.
CREATE TABLE groups (
    topic INTEGER NOT NULL,
    name  TEXT    NOT NULL,
    next  INTEGER NOT NULL,
    PRIMARY KEY (topic, name)
) STRICT, WITHOUT ROWID;

-- The first bytes published under a key own it.
CREATE TABLE claims (
    key    TEXT    NOT NULL PRIMARY KEY,
    digest TEXT    NOT NULL,
    id     TEXT    NOT NULL,
    at     INTEGER NOT NULL,
    place  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One row, written to see whether writing works.
CREATE TABLE beat (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    n   INTEGER NOT NULL
) STRICT;
INSERT INTO beat VALUES (1, 0);

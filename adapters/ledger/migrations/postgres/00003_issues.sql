-- What stops no message and somebody has to look at: a row for each message that has a part in an issue.

-- +goose Up
CREATE TABLE raised (
    issue   TEXT COLLATE "C" NOT NULL,
    message TEXT COLLATE "C" NOT NULL,
    at      BIGINT NOT NULL, -- when the message was received
    partner TEXT   NOT NULL,
    map     TEXT   NOT NULL,
    fault   TEXT   NOT NULL,
    PRIMARY KEY (issue, message)
);
CREATE INDEX raised_message ON raised (message);

-- +goose Down
DROP TABLE raised;

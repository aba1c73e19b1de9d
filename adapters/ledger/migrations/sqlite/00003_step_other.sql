-- The other message of a reprocessing: the one that a step's message was made from, or that was made of it.

-- +goose Up
ALTER TABLE steps ADD COLUMN other TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE steps DROP COLUMN other;

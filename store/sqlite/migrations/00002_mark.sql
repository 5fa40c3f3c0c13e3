-- +goose Up
-- The text of a store.Mark: why this store must not be used, or empty.
ALTER TABLE head ADD COLUMN mark TEXT NOT NULL DEFAULT '';

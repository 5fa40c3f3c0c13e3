-- +goose Up
-- What stands in the way of using this store, as package store's Mark writes it.
ALTER TABLE head ADD COLUMN mark TEXT NOT NULL DEFAULT '';

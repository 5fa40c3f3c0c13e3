-- +goose Up
-- The text of a store.Mark: why this store must not be used, or empty.
ALTER TABLE counterfoil.head ADD COLUMN mark text NOT NULL DEFAULT '';

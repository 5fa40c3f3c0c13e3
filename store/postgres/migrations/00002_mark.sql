-- +goose Up
-- What stands in the way of using this store, as package store's Mark writes it.
ALTER TABLE counterfoil.head ADD COLUMN mark text NOT NULL DEFAULT '';

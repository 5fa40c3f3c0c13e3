-- +goose Up
-- Where earlier epochs ended, as pairs of epoch and seq. A process that has seen a later
-- head of such an epoch knows that acknowledged entries are lost. A commit that begins an
-- epoch empties the list.
ALTER TABLE counterfoil.head ADD COLUMN ended bigint[] NOT NULL DEFAULT '{}';

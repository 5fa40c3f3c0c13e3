-- +goose Up
-- Where earlier epochs ended, as pairs of epoch and seq: whoever was told of more knows
-- that acknowledged entries are lost. A commit that begins an epoch settles it.
ALTER TABLE counterfoil.head ADD COLUMN ended bigint[] NOT NULL DEFAULT '{}';

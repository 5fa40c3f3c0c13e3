-- +goose Up
-- A table WITHOUT ROWID keeps whole rows in the inner pages of its tree, and splits them
-- over the whole file. Sessions are too large for that. Rows are now in the order of their
-- insertion, which is nearly the order of their expiry. The indexes hold keys alone. In
-- records_by_owner a session and its grant are neighbours.
DROP VIEW sessions;
DROP VIEW users;
ALTER TABLE records RENAME TO records_before;
DROP INDEX records_by_owner;
DROP INDEX records_by_expiry;
CREATE TABLE records (
  kind    TEXT NOT NULL,
  id      TEXT NOT NULL,
  owner   TEXT NOT NULL,
  rev     INTEGER NOT NULL,
  expires INTEGER NOT NULL, -- Unix seconds; 0: never
  value   BLOB NOT NULL,
  UNIQUE (kind, id)
);
INSERT INTO records (kind, id, owner, rev, expires, value)
  SELECT kind, id, owner, rev, expires, value FROM records_before ORDER BY kind, id;
DROP TABLE records_before;
CREATE INDEX records_by_owner ON records (owner, kind, id);
CREATE INDEX records_by_expiry ON records (expires) WHERE expires > 0;

CREATE VIEW sessions AS SELECT s.id, s.owner AS subject,
  json_extract(s.value, '$.client') AS client, json_extract(s.value, '$.carrier') AS carrier,
  json_extract(s.value, '$.created') AS created,
  coalesce(json_extract(g.value, '$.rotated'), json_extract(s.value, '$.last_seen')) AS last_seen,
  json_extract(s.value, '$.idle_expires') AS idle_expires,
  json_extract(s.value, '$.absolute_expires') AS absolute_expires,
  json_extract(s.value, '$.device') AS device
  FROM records s LEFT JOIN records g ON g.kind = 'grant' AND g.id = json_extract(s.value, '$.grant')
  WHERE s.kind = 'session';
CREATE VIEW users AS SELECT id, json_extract(value, '$.identifier') AS identifier,
  json_extract(value, '$.status') AS status, json_extract(value, '$.roles') AS roles
  FROM records WHERE kind = 'user';

-- +goose Up
CREATE TABLE records (
  kind    TEXT NOT NULL,
  id      TEXT NOT NULL,
  owner   TEXT NOT NULL,
  rev     INTEGER NOT NULL,
  expires INTEGER NOT NULL, -- Unix seconds; 0: never
  value   BLOB NOT NULL,
  PRIMARY KEY (kind, id)
) WITHOUT ROWID;
CREATE INDEX records_by_owner ON records (kind, owner, id);
CREATE INDEX records_by_expiry ON records (expires) WHERE expires > 0;

CREATE TABLE log (
  seq     INTEGER PRIMARY KEY,
  scope   TEXT NOT NULL,
  id      TEXT NOT NULL,
  expires INTEGER NOT NULL,
  reason  TEXT NOT NULL
);
CREATE TABLE head (
  one   INTEGER PRIMARY KEY CHECK (one = 1),
  epoch INTEGER NOT NULL,
  seq   INTEGER NOT NULL
);

-- For people with a SQL prompt.
CREATE VIEW sessions AS SELECT id, owner AS subject,
  json_extract(value, '$.client') AS client, json_extract(value, '$.carrier') AS carrier,
  json_extract(value, '$.created') AS created, json_extract(value, '$.last_seen') AS last_seen,
  json_extract(value, '$.idle_expires') AS idle_expires,
  json_extract(value, '$.absolute_expires') AS absolute_expires,
  json_extract(value, '$.device') AS device
  FROM records WHERE kind = 'session';
CREATE VIEW users AS SELECT id, json_extract(value, '$.identifier') AS identifier,
  json_extract(value, '$.status') AS status, json_extract(value, '$.roles') AS roles
  FROM records WHERE kind = 'user';

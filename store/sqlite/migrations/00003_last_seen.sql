-- +goose Up
-- A refresh writes the grant alone, so the time of the last refresh is in the grant.
DROP VIEW sessions;
CREATE VIEW sessions AS SELECT s.id, s.owner AS subject,
  json_extract(s.value, '$.client') AS client, json_extract(s.value, '$.carrier') AS carrier,
  json_extract(s.value, '$.created') AS created,
  coalesce(json_extract(g.value, '$.rotated'), json_extract(s.value, '$.last_seen')) AS last_seen,
  json_extract(s.value, '$.idle_expires') AS idle_expires,
  json_extract(s.value, '$.absolute_expires') AS absolute_expires,
  json_extract(s.value, '$.device') AS device
  FROM records s LEFT JOIN records g ON g.kind = 'grant' AND g.id = json_extract(s.value, '$.grant')
  WHERE s.kind = 'session';

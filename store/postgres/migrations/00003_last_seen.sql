-- +goose Up
-- A refresh writes the grant alone, so the time of the last refresh is in the grant.
CREATE OR REPLACE VIEW counterfoil.sessions AS SELECT r.id, r.owner AS subject,
  v ->> 'client' AS client, v ->> 'carrier' AS carrier,
  (v ->> 'created')::timestamptz AS created,
  coalesce((SELECT (convert_from(g.value, 'UTF8')::jsonb ->> 'rotated')::timestamptz
    FROM counterfoil.records g WHERE g.kind = 'grant' AND g.id = v ->> 'grant'), (v ->> 'last_seen')::timestamptz) AS last_seen,
  (v ->> 'idle_expires')::timestamptz AS idle_expires, (v ->> 'absolute_expires')::timestamptz AS absolute_expires,
  v ->> 'device' AS device
  FROM counterfoil.records r, LATERAL (SELECT convert_from(r.value, 'UTF8')::jsonb) AS j(v)
  WHERE r.kind = 'session';

-- +goose Up
-- A refresh changes value and rev in place: room on each page keeps such an update
-- off the indexes (HOT).
CREATE TABLE counterfoil.records (
  kind    text COLLATE "C" NOT NULL,
  id      text COLLATE "C" NOT NULL,
  owner   text COLLATE "C" NOT NULL,
  rev     bigint NOT NULL,
  expires bigint NOT NULL, -- Unix seconds; 0: never
  value   bytea  NOT NULL,
  PRIMARY KEY (kind, id)
) WITH (fillfactor = 75, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX records_by_owner ON counterfoil.records (kind, owner, id);
CREATE INDEX records_by_expiry ON counterfoil.records (expires) WHERE expires > 0;

CREATE TABLE counterfoil.log (
  seq     bigint PRIMARY KEY,
  scope   text   NOT NULL,
  id      text   NOT NULL,
  expires bigint NOT NULL,
  reason  text   NOT NULL
);
CREATE INDEX log_by_expiry ON counterfoil.log (expires) WHERE expires > 0;

-- One row. identity names the history of the data that the epoch belongs to. If the server
-- has another identity, entries may be lost, and a node begins a new epoch.
CREATE TABLE counterfoil.head (
  one      boolean PRIMARY KEY DEFAULT true CHECK (one),
  epoch    bigint NOT NULL,
  seq      bigint NOT NULL,
  identity text   NOT NULL
) WITH (fillfactor = 10);
INSERT INTO counterfoil.head (epoch, seq, identity) VALUES (0, 0, '');

-- commit_1 commits one store.Batch: see the package comment of store. A call is one
-- statement, so one round trip and one commit. On a conflict done is false and nothing is
-- written, so the transaction may go on with another batch.
--
-- Each statement in the function has its own snapshot, taken after the locks were taken
-- (READ COMMITTED). So the checks see every earlier commit. The function finds records by
-- subqueries and single keys, never by a join, so that no plan reads the whole table.
-- +goose StatementBegin
CREATE FUNCTION counterfoil.commit_1(
  lock_keys bigint[], lock_write boolean[],
  check_kinds text[], check_ids text[], check_revs bigint[],
  own_kinds text[], own_owners text[], delete_kinds text[], delete_ids text[],
  put_kinds text[], put_ids text[], put_owners text[], put_revs bigint[], put_expires bigint[], put_values bytea[],
  new_epoch bigint, strides bigint[], scopes text[], ids text[], entry_expires bigint[], reasons text[],
  OUT done boolean, OUT at_epoch bigint, OUT at_seq bigint
) LANGUAGE plpgsql AS $$
BEGIN
  PERFORM CASE WHEN l.write THEN pg_advisory_xact_lock(l.key) ELSE pg_advisory_xact_lock_shared(l.key) END
    FROM unnest(lock_keys, lock_write) AS l(key, write);

  SELECT h.epoch, h.seq, NOT EXISTS (
      SELECT FROM unnest(check_kinds, check_ids, check_revs) AS c(kind, id, rev)
      WHERE c.rev <> coalesce((SELECT r.rev FROM counterfoil.records r WHERE r.kind = c.kind AND r.id = c.id), 0))
    INTO STRICT at_epoch, at_seq, done FROM counterfoil.head h;
  IF NOT done THEN RETURN; END IF;

  FOR i IN 1 .. cardinality(own_owners) LOOP
    DELETE FROM counterfoil.records r WHERE r.kind = own_kinds[i] AND r.owner = own_owners[i];
  END LOOP;
  FOR i IN 1 .. cardinality(delete_ids) LOOP
    DELETE FROM counterfoil.records r WHERE r.kind = delete_kinds[i] AND r.id = delete_ids[i];
  END LOOP;
  FOR i IN 1 .. cardinality(put_ids) LOOP
    IF put_revs[i] > 0 THEN
      UPDATE counterfoil.records r
        SET owner = put_owners[i], rev = put_revs[i] + 1, expires = put_expires[i], value = put_values[i]
        WHERE r.kind = put_kinds[i] AND r.id = put_ids[i];
      CONTINUE WHEN FOUND;
      -- Since the check only this batch or a sweep can have deleted the record: every other
      -- writer needs the lock.
      IF cardinality(own_owners) + cardinality(delete_ids) = 0 THEN
        RAISE serialization_failure USING MESSAGE = 'counterfoil: a record was swept while it was written';
      END IF;
    END IF;
    INSERT INTO counterfoil.records (kind, id, owner, rev, expires, value)
      VALUES (put_kinds[i], put_ids[i], put_owners[i], put_revs[i] + 1, put_expires[i], put_values[i]);
  END LOOP;

  IF new_epoch IS NULL AND cardinality(ids) = 0 THEN RETURN; END IF;
  IF new_epoch IS NOT NULL THEN
    DELETE FROM counterfoil.log;
    at_epoch := new_epoch;
    at_seq := 0;
  END IF;
  FOR i IN 1 .. cardinality(ids) LOOP
    at_seq := at_seq + strides[i];
    INSERT INTO counterfoil.log (seq, scope, id, expires, reason) VALUES (at_seq, scopes[i], ids[i], entry_expires[i], reasons[i]);
  END LOOP;
  UPDATE counterfoil.head SET epoch = at_epoch, seq = at_seq;
  PERFORM pg_notify('counterfoil', '');
END $$;
-- +goose StatementEnd

-- For people with a SQL prompt. The views have no credential, and nothing to derive one from.
CREATE VIEW counterfoil.sessions AS SELECT r.id, r.owner AS subject,
  v ->> 'client' AS client, v ->> 'carrier' AS carrier,
  (v ->> 'created')::timestamptz AS created, (v ->> 'last_seen')::timestamptz AS last_seen,
  (v ->> 'idle_expires')::timestamptz AS idle_expires, (v ->> 'absolute_expires')::timestamptz AS absolute_expires,
  v ->> 'device' AS device
  FROM counterfoil.records r, LATERAL (SELECT convert_from(r.value, 'UTF8')::jsonb) AS j(v)
  WHERE r.kind = 'session';
CREATE VIEW counterfoil.users AS SELECT r.id, v ->> 'identifier' AS identifier,
  v ->> 'status' AS status, v -> 'roles' AS roles
  FROM counterfoil.records r, LATERAL (SELECT convert_from(r.value, 'UTF8')::jsonb) AS j(v)
  WHERE r.kind = 'user';

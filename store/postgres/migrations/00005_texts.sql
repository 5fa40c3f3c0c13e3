-- +goose Up
-- The texts that records are found by, in order. The column has those of one record, one a
-- line. No index has the column, so an update that leaves it as it is stays off the indexes (HOT).
-- NULL is what a node of the version before writes: it knows no texts.
CREATE TABLE counterfoil.texts (
  kind text COLLATE "C" NOT NULL,
  text text COLLATE "C" NOT NULL,
  id   text COLLATE "C" NOT NULL,
  PRIMARY KEY (kind, text, id)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
ALTER TABLE counterfoil.records ADD COLUMN texts text;

-- One trigger function keeps the table for every writer: a commit of any version, a sweep, a move.
-- +goose StatementBegin
CREATE FUNCTION counterfoil.texts_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP <> 'INSERT' THEN
    DELETE FROM counterfoil.texts t WHERE t.kind = OLD.kind AND t.id = OLD.id AND t.text = ANY (string_to_array(OLD.texts, E'\n'));
  END IF;
  IF TG_OP <> 'DELETE' THEN
    INSERT INTO counterfoil.texts (kind, text, id)
      SELECT NEW.kind, u, NEW.id FROM unnest(string_to_array(NEW.texts, E'\n')) AS u ON CONFLICT DO NOTHING;
  END IF;
  RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER texts_added AFTER INSERT ON counterfoil.records FOR EACH ROW WHEN (NEW.texts <> '') EXECUTE FUNCTION counterfoil.texts_changed();
CREATE TRIGGER texts_changed AFTER UPDATE OF texts ON counterfoil.records FOR EACH ROW WHEN (NEW.texts IS DISTINCT FROM OLD.texts) EXECUTE FUNCTION counterfoil.texts_changed();
CREATE TRIGGER texts_removed AFTER DELETE ON counterfoil.records FOR EACH ROW WHEN (OLD.texts <> '') EXECUTE FUNCTION counterfoil.texts_changed();

-- commit_2 is commit_1 that also writes texts.
-- +goose StatementBegin
CREATE FUNCTION counterfoil.commit_2(
  lock_keys bigint[], lock_write boolean[],
  check_kinds text[], check_ids text[], check_revs bigint[],
  own_kinds text[], own_owners text[], delete_kinds text[], delete_ids text[],
  put_kinds text[], put_ids text[], put_owners text[], put_revs bigint[], put_expires bigint[], put_values bytea[], put_texts text[],
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
        SET owner = put_owners[i], rev = put_revs[i] + 1, expires = put_expires[i], value = put_values[i], texts = put_texts[i]
        WHERE r.kind = put_kinds[i] AND r.id = put_ids[i];
      CONTINUE WHEN FOUND;
      -- Since the check only this batch or a sweep can have deleted the record: every other
      -- writer needs the lock.
      IF cardinality(own_owners) + cardinality(delete_ids) = 0 THEN
        RAISE serialization_failure USING MESSAGE = 'counterfoil: a record was swept while it was written';
      END IF;
    END IF;
    INSERT INTO counterfoil.records (kind, id, owner, rev, expires, value, texts)
      VALUES (put_kinds[i], put_ids[i], put_owners[i], put_revs[i] + 1, put_expires[i], put_values[i], put_texts[i]);
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

-- What a node of the version before adds has no texts. Without the note that all records of the
-- kind have theirs, the next node of this version looks (store.Reindex).
-- +goose StatementBegin
CREATE FUNCTION counterfoil.texts_missing() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM counterfoil.records r WHERE r.kind = 'texts' AND r.id = NEW.kind;
  RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER texts_missing AFTER INSERT ON counterfoil.records FOR EACH ROW WHEN (NEW.texts IS NULL) EXECUTE FUNCTION counterfoil.texts_missing();

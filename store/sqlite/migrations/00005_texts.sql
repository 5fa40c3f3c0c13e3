-- +goose Up
-- The texts that records are found by, in order. The column has those of one record, as a JSON
-- array, or nothing: so a removal of the record finds them here by the primary key.
ALTER TABLE records ADD COLUMN texts TEXT NOT NULL DEFAULT '';
CREATE TABLE texts (
  kind TEXT NOT NULL,
  text TEXT NOT NULL,
  id   TEXT NOT NULL,
  PRIMARY KEY (kind, text, id)
) WITHOUT ROWID;
-- +goose StatementBegin
CREATE TRIGGER texts_added AFTER INSERT ON records WHEN new.texts <> '' BEGIN
  INSERT INTO texts (kind, text, id) SELECT DISTINCT new.kind, value, new.id FROM json_each(new.texts);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER texts_changed AFTER UPDATE OF texts ON records WHEN new.texts <> old.texts BEGIN
  DELETE FROM texts WHERE kind = old.kind AND id = old.id
    AND text IN (SELECT value FROM json_each(iif(old.texts = '', '[]', old.texts)));
  INSERT INTO texts (kind, text, id) SELECT DISTINCT new.kind, value, new.id FROM json_each(iif(new.texts = '', '[]', new.texts));
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER texts_removed AFTER DELETE ON records WHEN old.texts <> '' BEGIN
  DELETE FROM texts WHERE kind = old.kind AND id = old.id AND text IN (SELECT value FROM json_each(old.texts));
END;
-- +goose StatementEnd

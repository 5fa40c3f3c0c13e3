package store

import (
	"context"
	"errors"
	"strconv"
)

// kindTexts has a record for each kind whose records all have their index texts. Its ID is the
// kind, its value the version of the texts; 0 while the first Reindex runs. A node of a version
// without texts that adds a record takes it away. A move leaves it behind, as it does the texts.
const kindTexts Kind = "texts"

// reindexBatch is how many records one commit of Reindex writes.
const reindexBatch = 500

// Reindex gives the records of a kind the texts that texts returns for them, if the store is
// Indexed and has not noted that they have those of this version. It writes each record again
// as it is. So does the first start of a version that has other texts, or of a store that was
// filled by a move. A process that is killed meanwhile has done a part, and the next one does all.
// So does the next call, if a record without texts was added meanwhile.
// Progress is told how many records were written.
func Reindex(ctx context.Context, s Store, kind Kind, version int, texts func(Record) []string, progress func(done int)) error {
	if !s.Describe().Indexed {
		return nil
	}
	noted := Key{kindTexts, string(kind)}
	recs, err := s.Get(ctx, noted)
	if err != nil {
		return err
	}
	value, rev := strconv.Itoa(version), recs[0].Rev
	if string(recs[0].Value) == value {
		return nil
	}
	if rev == 0 { // there must be a note to take away, or nothing tells of what is added behind this
		_, err := s.Commit(ctx, Batch{Put: []Record{{Key: noted, Value: []byte("0")}}})
		if err != nil && !errors.Is(err, ErrConflict) { // another node has begun
			return err
		}
		rev = 1
	}
	with := func(r Record) Record {
		r.Index = texts(r)
		r.Index = r.Index[:min(len(r.Index), maxTexts)] // a record that nobody may write any more must not stop the start
		return r
	}
	done, batch := 0, make([]Record, 0, reindexBatch)
	flush := func() error {
		if err := writeAgain(ctx, s, batch, with); err != nil {
			return err
		}
		done += len(batch)
		batch = batch[:0]
		progress(done)
		return nil
	}
	for r, err := range s.List(ctx, kind, "*", "") {
		if err != nil {
			return err
		}
		if batch = append(batch, with(r)); len(batch) == reindexBatch {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := flush(); err != nil {
		return err
	}
	_, err = s.Commit(ctx, Batch{Put: []Record{{Key: noted, Rev: rev, Value: []byte(value)}}})
	if errors.Is(err, ErrConflict) {
		return nil // another node has noted the same, or a record was added: the next call does all
	}
	return err
}

// writeAgain writes records as they were read. One that was changed meanwhile is read again: a
// node of a version without texts may have changed it.
func writeAgain(ctx context.Context, s Store, records []Record, with func(Record) Record) error {
	if len(records) == 0 {
		return nil
	}
	_, err := s.Commit(ctx, Batch{Put: records})
	if !errors.Is(err, ErrConflict) {
		return err
	}
	for _, r := range records {
		if err := writeOneAgain(ctx, s, r, with); err != nil {
			return err
		}
	}
	return nil
}

func writeOneAgain(ctx context.Context, s Store, r Record, with func(Record) Record) error {
	for {
		_, err := s.Commit(ctx, Batch{Put: []Record{r}})
		if !errors.Is(err, ErrConflict) {
			return err
		}
		now, err := One(ctx, s, r.Key)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		r = with(now)
	}
}

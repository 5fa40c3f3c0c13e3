package store

import "iter"

// Past returns a text that is greater than each text that begins with prefix, and not greater
// than any other text after those.
func Past(prefix string) string { return prefix + "\x7f" }

// From returns where a search by prefix begins.
func (at Position) From(prefix string) Position {
	if at.Text < prefix {
		return Position{Text: prefix}
	}
	return at
}

// Sizes of the pages that Paged reads, in records. The first is small, for a caller that
// wants few; each is twice the one before, so that a long list takes few round trips.
const (
	firstPage = 64
	lastPage  = 512
)

// PagedSearch is Search for an engine that can read up to limit matches, in order, after a
// position. It ends as Paged does.
func PagedSearch(prefix string, after Position, read func(after Position, limit int) ([]Match, error)) iter.Seq2[Match, error] {
	return pages(after.From(prefix), read, Match.At)
}

// Paged is List for an engine that can read up to limit records, in order, whose IDs are
// greater than after. Nothing stays open between two pages. An error of read ends it.
func Paged(after string, read func(after string, limit int) ([]Record, error)) iter.Seq2[Record, error] {
	return pages(after, read, func(r Record) string { return r.ID })
}

func pages[T, At any](after At, read func(after At, limit int) ([]T, error), at func(T) At) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for after, limit := after, firstPage; ; limit = min(2*limit, lastPage) {
			page, err := read(after, limit)
			if err != nil {
				yield(*new(T), err)
				return
			}
			for _, item := range page {
				if !yield(item, nil) {
					return
				}
			}
			if len(page) < limit {
				return
			}
			after = at(page[len(page)-1])
		}
	}
}

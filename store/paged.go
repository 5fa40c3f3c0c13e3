package store

import "iter"

// Sizes of the pages that Paged reads, in records. The first is small, for a caller that
// wants few; each is twice the one before, so that a long list takes few round trips.
const (
	firstPage = 64
	lastPage  = 512
)

// Paged is List for an engine that can read up to limit records, in order, whose IDs are
// greater than after. Nothing stays open between two pages. An error of read ends it.
func Paged(after string, read func(after string, limit int) ([]Record, error)) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for after, limit := after, firstPage; ; limit = min(2*limit, lastPage) {
			page, err := read(after, limit)
			if err != nil {
				yield(Record{}, err)
				return
			}
			for _, r := range page {
				if !yield(r, nil) {
					return
				}
			}
			if len(page) < limit {
				return
			}
			after = page[len(page)-1].ID
		}
	}
}

package store

import (
	"context"
	"errors"
)

// Many is an optional power of a Store: what GetMany asks for in one round trip.
type Many interface {
	// GetMany returns a record for each key, in order; one that is absent has Rev 0.
	// The records need not be of one moment: whoever writes on the strength of them
	// requires their revisions.
	GetMany(ctx context.Context, keys ...Key) ([]Record, error)
}

// GetMany is s.GetMany, and where s has none, one Get for each key.
func GetMany(ctx context.Context, s Store, keys ...Key) ([]Record, error) {
	if m, ok := s.(Many); ok {
		return m.GetMany(ctx, keys...)
	}
	records := make([]Record, len(keys))
	for n, k := range keys {
		r, err := s.Get(ctx, k)
		if errors.Is(err, ErrNotFound) {
			r, err = Record{Key: k}, nil
		}
		if err != nil {
			return nil, err
		}
		records[n] = r
	}
	return records, nil
}

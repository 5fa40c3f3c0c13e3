package keyring

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil/internal/token"
	"github.com/counterfoil/counterfoil/store"
)

// entry is a key of the ring.
type entry struct {
	ID      string    `json:"id"`
	Alg     token.Alg `json:"alg"`
	Private []byte    `json:"private"` // PKCS #8, or the bytes of an HMAC secret
	Created time.Time `json:"created"`
	From    time.Time `json:"from"` // zero: never
	Revoked bool      `json:"revoked,omitempty"`

	signer *token.Signer
}

// state is what the sealed record holds, newest From last.
type state struct {
	Root []byte  `json:"root"` // 32 bytes; other secrets are derived from it by label (KEY-13)
	Keys []entry `json:"keys"`

	rev uint64
}

func (s *state) sort() {
	slices.SortStableFunc(s.Keys, func(a, b entry) int { return a.From.Compare(b.From) })
}

// load makes the signer.
func (e *entry) load() error {
	var private any = e.Private
	if !e.Alg.Symmetric() {
		var err error
		if private, err = x509.ParsePKCS8PrivateKey(e.Private); err != nil {
			return fmt.Errorf("keyring: key %s: %w", e.ID, err)
		}
	}
	signer, err := token.NewSigner(e.ID, e.Alg, private)
	if err != nil {
		return fmt.Errorf("keyring: key %s: %w", e.ID, err)
	}
	e.signer = signer
	return nil
}

var recordKey = store.Key{Kind: "keyring", ID: "keyring"}

func (k *Keyring) read(ctx context.Context) (*state, error) {
	r, err := store.One(ctx, k.opts.Store, recordKey)
	if errors.Is(err, store.ErrNotFound) {
		return &state{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("keyring: %w", err)
	}
	plain, err := open(k.opts.SealKey, r.Value)
	if err != nil {
		return nil, err
	}
	s := &state{rev: r.Rev}
	if err := json.Unmarshal(plain, s); err != nil {
		return nil, fmt.Errorf("keyring: record: %w", err)
	}
	for i := range s.Keys {
		if err := s.Keys[i].load(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (k *Keyring) write(ctx context.Context, s *state) error {
	rec, err := k.record(s)
	if err != nil {
		return err
	}
	_, err = k.opts.Store.Commit(ctx, store.Batch{Put: []store.Record{rec}})
	if err == nil {
		s.rev++
	}
	return err
}

func (k *Keyring) record(s *state) (store.Record, error) {
	plain, err := json.Marshal(s)
	if err != nil {
		return store.Record{}, err
	}
	sealed, err := seal(k.opts.SealKey, plain)
	return store.Record{Key: recordKey, Rev: s.rev, Value: sealed}, err
}

package server_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/counterfoil/counterfoil/accounts"
	"github.com/counterfoil/counterfoil/store"
)

// letterbox keeps the messages of a bench: the store has which were committed, and nothing of what they say.
type letterbox struct {
	store store.Store

	mu  sync.Mutex
	all map[string]accounts.Message
}

func (l *letterbox) Record(m accounts.Message) (store.Record, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all == nil {
		l.all = map[string]accounts.Message{}
	}
	id := fmt.Sprintf("%06d", len(l.all))
	l.all[id] = m
	return store.Record{Key: store.Key{Kind: "letter", ID: id}, Value: []byte(`{}`)}, nil
}

func (l *letterbox) Wake() {}

// last is the newest message that was committed.
func (l *letterbox) last(t *testing.T) (m accounts.Message) {
	t.Helper()
	found := false
	for rec, err := range l.store.List(t.Context(), "letter", "*", "") {
		must(t, err)
		l.mu.Lock()
		m, found = l.all[rec.ID], true
		l.mu.Unlock()
	}
	if !found {
		t.Fatal("no message was sent")
	}
	return m
}

// count is how many were committed.
func (l *letterbox) count(t *testing.T) (n int) {
	t.Helper()
	for _, err := range l.store.List(t.Context(), "letter", "*", "") {
		must(t, err)
		n++
	}
	return n
}

// wrong is a code that none is.
func wrong(code string) string {
	return strings.Map(func(r rune) rune { return '0' + (r-'0'+1)%10 }, code)
}

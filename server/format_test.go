package server_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
)

// startOn opens a server on the stores, closes it, and returns what it logged from
// warnings on.
func startOn(t *testing.T, c server.Config) (warnings string, err error) {
	t.Helper()
	var log bytes.Buffer
	c.URL, c.Logger, c.NoVerifier = "http://127.0.0.1:8080", slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn})), true
	c.LoginsPerSecond = 50 // no hash is measured
	e, err := server.Open(t.Context(), c)
	if err == nil {
		must(t, e.Close())
	}
	return log.String(), err
}

// setFormat replaces the record of the format; empty: deletes it, as before there was one.
func setFormat(t *testing.T, s store.Store, value string) {
	t.Helper()
	key := store.Key{Kind: "format", ID: "records"}
	b := store.Batch{Delete: []store.Key{key}}
	if value != "" {
		held, err := s.Get(t.Context(), key)
		must(t, err)
		b = store.Batch{Put: []store.Record{{Key: key, Rev: held[0].Rev, Value: []byte(value)}}}
	}
	_, err := s.Commit(t.Context(), b)
	must(t, err)
}

// A start on a store of an earlier version says once what it changes, and that the nodes of
// that version must be stopped. A new store and a second start are silent. A store of a later
// version is refused and stays as it is.
func TestFormat(t *testing.T) {
	key := store.Key{Kind: "format", ID: "records"}
	users, sessions := memory.New(), memory.New()
	c := server.Config{Store: users, Sessions: sessions, SealKey: [32]byte{1}}
	silent := func(when string) {
		t.Helper()
		if warnings, err := startOn(t, c); err != nil || warnings != "" {
			t.Errorf("%s: Open = %v, with warnings %s", when, err, warnings)
		}
	}
	silent("new stores")
	for name, s := range map[string]store.Store{"store": users, "sessions": sessions} {
		rec, err := store.One(t.Context(), s, key)
		if err != nil || rec.Rev != 1 || !strings.Contains(string(rec.Value), `"version":"`) {
			t.Errorf("%s: record = %s, %v", name, rec.Value, err)
		}
	}
	silent("a second start")
	_, err := sessions.Commit(t.Context(), store.Batch{Put: []store.Record{{Key: store.Key{Kind: "session", ID: "s"}, Value: []byte("{}")}}})
	must(t, err)
	for name, s := range map[string]store.Store{"store": users, "sessions": sessions} {
		for what, value := range map[string]string{"no record": "", "number 0": `{"format":0,"version":"v0.1.0"}`} {
			setFormat(t, s, value)
			warnings, err := startOn(t, c)
			if err != nil || strings.Count(warnings, "\n") != 1 || !strings.Contains(warnings, "must be stopped") ||
				!strings.Contains(warnings, `"key":"`+name+`"`) || !strings.Contains(warnings, "hash of a password") {
				t.Errorf("%s with %s: Open = %v, with warnings %s", name, what, err, warnings)
			}
			silent(name + " again")
		}
	}
	later := `{"format":99,"version":"v9.9.9"}`
	for name, s := range map[string]store.Store{"store": users, "sessions": sessions} {
		held, err := s.Get(t.Context(), key)
		must(t, err)
		setFormat(t, s, later)
		for _, c.Offline = range []bool{true, false} {
			if _, err := startOn(t, c); err == nil || !strings.Contains(err.Error(), "format 99, written by Counterfoil v9.9.9") {
				t.Errorf("%s of a later version: Open = %v", name, err)
			}
		}
		rec, err := store.One(t.Context(), s, key)
		must(t, err)
		if string(rec.Value) != later {
			t.Errorf("%s of a later version was changed: %s", name, rec.Value)
		}
		setFormat(t, s, string(held[0].Value))
	}
	fresh := memory.New()
	setFormat(t, fresh, later)
	if _, err := startOn(t, server.Config{Store: fresh}); err == nil {
		t.Error("a store of a later version is opened")
	}
	if _, err := store.One(t.Context(), fresh, store.Key{Kind: "keyring", ID: "keyring"}); err == nil {
		t.Error("a store of a later version got signing keys")
	}
}

// A demo's users have a public password. So its stores are no good for anything else, and a
// demo never runs on a store in use.
func TestDemoStore(t *testing.T) {
	users, sessions, own := memory.New(), memory.New(), memory.New()
	ok := func(c server.Config) {
		t.Helper()
		if warnings, err := startOn(t, c); err != nil || warnings != "" {
			t.Errorf("Open = %v, with warnings %s", err, warnings)
		}
	}
	refused := func(c server.Config) {
		t.Helper()
		if _, err := startOn(t, c); err == nil || !strings.Contains(err.Error(), "public password\nhint: ") {
			t.Errorf("Open = %v, want a refusal", err)
		}
	}
	demo := server.Config{Store: users, Sessions: sessions, SealKey: [32]byte{1}, Demo: true}
	ok(demo)
	ok(demo)
	refused(server.Config{Store: users, SealKey: [32]byte{1}})
	refused(server.Config{Store: own, Sessions: sessions, SealKey: [32]byte{1}})
	ok(server.Config{Store: users, Sessions: sessions, SealKey: [32]byte{1}, Offline: true}) // commands administer a demo, too
	ok(server.Config{Store: own, SealKey: [32]byte{1}})
	refused(server.Config{Store: own, SealKey: [32]byte{1}, Demo: true})
	setFormat(t, own, "")
	refused(server.Config{Store: own, SealKey: [32]byte{1}, Demo: true})
}

package plain_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/compare/plain"
	"github.com/counterfoil/counterfoil/internal/testsvc"
)

func TestMain(m *testing.M) { testsvc.Main(m) }

// Every store keeps, ends and renames values, and does not return one that has expired.
func TestStores(t *testing.T) {
	_, dsn := testsvc.SharedPostgres(t).Database(t, "")
	names := map[string]string{
		"sqlite":   "sqlite:" + filepath.Join(t.TempDir(), "plain.db"),
		"postgres": dsn,
		"redis":    "redis://" + testsvc.StartRedis(t).Addr() + "#plain",
	}
	for kind, name := range names {
		t.Run(kind, func(t *testing.T) {
			ctx := t.Context()
			s, err := plain.OpenStore(ctx, name)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			get := func(key, want string) {
				t.Helper()
				v, found, err := s.Get(ctx, plain.SessionTable, key)
				if err != nil || found != (want != "") || string(v) != want {
					t.Errorf("Get(%s) = %q, %v, %v; want %q", key, v, found, err, want)
				}
			}
			later := time.Now().Add(time.Hour)
			get("a", "")
			for _, value := range []string{"one", "two"} {
				if err := s.Put(ctx, plain.SessionTable, "a", []byte(value), later); err != nil {
					t.Fatal(err)
				}
				get("a", value)
			}
			if _, found, err := s.Get(ctx, plain.BlockTable, "a"); found || err != nil {
				t.Errorf("another table: %v, %v", found, err)
			}
			found, err := s.Replace(ctx, plain.SessionTable, "a", "b", later)
			if !found || err != nil {
				t.Errorf("Replace = %v, %v", found, err)
			}
			get("a", "")
			get("b", "two")
			if found, err := s.Replace(ctx, plain.SessionTable, "a", "c", later); found || err != nil {
				t.Errorf("Replace again = %v, %v", found, err)
			}
			if err := s.Delete(ctx, plain.SessionTable, "b"); err != nil {
				t.Fatal(err)
			}
			get("b", "")
			if err := s.Put(ctx, plain.SessionTable, "old", []byte("x"), time.Now().Add(-time.Second)); err != nil {
				t.Fatal(err)
			}
			get("old", "")
		})
	}
	if _, err := plain.OpenStore(t.Context(), "memory:"); err == nil {
		t.Error("memory: is opened")
	}
}

// down is a store that cannot be reached.
type down struct{ plain.Store }

func (down) Get(context.Context, string, string) ([]byte, bool, error) {
	return nil, false, errors.New("down")
}

// An outage of the store is no logout.
func TestOutageIsNoLogout(t *testing.T) {
	key, err := plain.MakeKey("ES256")
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := plain.NewTokens(plain.TokensOptions{Issuer: "i", Audience: "a", Key: key, Blocklist: down{}})
	if err != nil {
		t.Fatal(err)
	}
	text, _, err := tokens.Sign("alice", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	nothing := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	for name, c := range map[string]struct {
		h     http.Handler
		field [2]string
	}{
		"session":   {plain.NewSessions(down{}, "s").Require(nothing), [2]string{"Cookie", "s=abc"}},
		"blocklist": {tokens.Require(nothing), [2]string{"Authorization", "Bearer " + text}},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set(c.field[0], c.field[1])
		w := httptest.NewRecorder()
		c.h.ServeHTTP(w, r)
		if w.Code != 503 || w.Header().Get("Set-Cookie") != "" {
			t.Errorf("%s: %d, cookies %q; want 503 and none", name, w.Code, w.Header()["Set-Cookie"])
		}
	}
}

// A token is good for its issuer, its audience, its algorithm and its time.
func TestTokens(t *testing.T) {
	keys := make(map[string]plain.Key)
	for _, alg := range []string{"HS256", "RS256", "ES256", "EdDSA"} {
		k, err := plain.MakeKey(alg)
		if err != nil {
			t.Fatal(err)
		}
		keys[alg] = k
	}
	encrypted := keys["ES256"]
	encrypted.Shared = make([]byte, 32)
	keys["JWE"] = encrypted
	good := plain.TokensOptions{Issuer: "i", Audience: "a"}
	for name, key := range keys {
		o := good
		o.Key = key
		tokens, err := plain.NewTokens(o)
		if err != nil {
			t.Fatal(err)
		}
		text, _, err := tokens.Sign("alice", time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if c, err := tokens.Verify(t.Context(), text); err != nil || c.Subject != "alice" {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
		old, _, _ := tokens.Sign("alice", -time.Minute)
		if _, err := tokens.Verify(t.Context(), old); err == nil {
			t.Errorf("%s: an expired token is good", name)
		}
		for _, change := range []func(*plain.TokensOptions){
			func(o *plain.TokensOptions) { o.Issuer = "other" },
			func(o *plain.TokensOptions) { o.Audience = "other" },
			func(o *plain.TokensOptions) { o.Key, _ = plain.MakeKey(o.Key.Alg) },
		} {
			wrong := o
			change(&wrong)
			elsewhere, err := plain.NewTokens(wrong)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := elsewhere.Verify(t.Context(), text); err == nil {
				t.Errorf("%s: good for %+v", name, wrong)
			}
		}
	}
}

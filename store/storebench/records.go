package storebench

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/store"
)

// browsers are the User-Agent headers of the sessions.
var browsers = []string{
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
	"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15",
	"Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0",
	"Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
	"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36",
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36 Edg/131.0.0.0",
	"okhttp/4.12.0",
}

// absolute is the life of a session. span is the time within which all subjects sign in.
// logins is the number of real logins.
const (
	absolute = 24 * time.Hour
	span     = 12 * time.Hour
	logins   = 49
)

// sessions makes the records of any number of sessions of one carrier, each with its own
// subject. They are the records that an issuer wrote for some real logins, with other ids.
type sessions struct {
	began time.Time // of the first login
	real  [logins][]store.Record
}

// newSessions makes the real logins with an issuer on s. It deletes their records. Only the
// records that the issuer itself needs stay in s.
func newSessions(b *testing.B, s store.Store, c counterfoil.Carrier) *sessions {
	b.Helper()
	now := time.Now().Truncate(time.Second)
	all := &sessions{began: now}
	kept := &texts{clockless{s}, map[store.Key][]string{}}
	i := newIssuer(b, kept, func() time.Time { return now })
	for n := range all.real {
		now = all.began.Add(span * time.Duration(n) / logins)
		_, _, subject := ids(int64(-1 - n))
		address := netip.AddrFrom4([4]byte{198, 51, byte(7 * n), byte(100 + n)})
		_, err := i.Login(b.Context(), login.Proof{Subject: subject, Methods: []string{"pwd"}, At: now, Roles: []string{"staff"}},
			issuer.Request{Carrier: c, UserAgent: browsers[n%len(browsers)], Act: audit.Act{Address: address}})
		check(b, err)
		for _, kind := range []store.Kind{"session", "grant"} {
			for r, err := range s.List(b.Context(), kind, subject, "") {
				check(b, err)
				r.Rev, r.Index = 0, kept.of[r.Key]
				all.real[n] = append(all.real[n], r)
			}
		}
		_, err = s.Commit(b.Context(), store.Batch{DeleteOwned: []store.Owned{{Kind: "session", Owner: subject}, {Kind: "grant", Owner: subject}}})
		check(b, err)
	}
	return all
}

// texts is a store that remembers the index texts that were put, which no read returns. Time
// is that of the issuer, which runs ahead of any clock.
type texts struct {
	clockless
	of map[store.Key][]string
}

// clockless is a store without a clock of its own.
type clockless struct{ store.Store }

func (clockless) Time(context.Context) (time.Time, error) { return time.Time{}, nil }

func (t *texts) Commit(ctx context.Context, b store.Batch) (counterfoil.Cursor, error) {
	for _, r := range b.Put {
		t.of[r.Key] = r.Index
	}
	return t.Store.Commit(ctx, b)
}

// newIssuer returns a whole issuer that keeps no audit entries.
func newIssuer(b *testing.B, s store.Store, now func() time.Time) *issuer.Issuer {
	b.Helper()
	return newServer(b, s, now).Issuer()
}

func newServer(b *testing.B, s store.Store, now func() time.Time) *server.Embedded {
	b.Helper()
	auth, err := server.Open(b.Context(), server.Config{
		Store: s, URL: "https://auth.test", SealKey: [32]byte{1}, Absolute: absolute, Now: now, Offline: true, InsecureHashes: true,
		Logger: slog.New(slog.DiscardHandler), Audit: func(audit.Entry) {}, KeepAudit: -1,
	})
	check(b, err)
	return auth
}

var base32Lower = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// ids returns the ids of the n-th session. They look as random as real ids, and are the same
// at each call.
func ids(n int64) (session, grant, subject string) {
	sum := sha256.Sum256(fmt.Append(nil, n))
	more := sha256.Sum256(sum[:])
	return "ses_" + base32Lower.EncodeToString(sum[:20]), base64.RawURLEncoding.EncodeToString(more[:16]), "usr_" + base32Lower.EncodeToString(more[15:])[:26]
}

// of returns the records of the n-th session: the session, and its grant if it has one.
func (all *sessions) of(n int64) []store.Record {
	real := all.real[n%logins]
	session, grant, subject := ids(n)
	pairs := []string{real[0].Owner, subject, real[0].ID, session[:len(real[0].ID)]}
	if len(real) > 1 && !strings.Contains(real[1].ID, real[0].ID) {
		pairs = append(pairs, real[1].ID, grant[:min(len(grant), len(real[1].ID))])
	}
	replacer := strings.NewReplacer(pairs...)
	records := make([]store.Record, len(real))
	for i, r := range real {
		r.ID, r.Owner, r.Value = replacer.Replace(r.ID), subject, []byte(replacer.Replace(string(r.Value)))
		records[i] = r
	}
	return records
}

// key returns the key of the n-th session.
func (all *sessions) key(n int64) store.Key {
	session, _, _ := ids(n)
	return store.Key{Kind: "session", ID: session[:len(all.real[0][0].ID)]}
}

// keys returns the keys of all records of the n-th session.
func (all *sessions) keys(n int64) (keys []store.Key) {
	for _, r := range all.of(n) {
		keys = append(keys, r.Key)
	}
	return keys
}

// value returns a value of the size of a session.
func (all *sessions) value() []byte { return slices.Clip(all.real[0][0].Value) }

// load creates the sessions from `from` up to, and without, `to`.
func (all *sessions) load(b *testing.B, s store.Store, from, to int64) {
	b.Helper()
	for from < to {
		var batch store.Batch
		for ; from < to && len(batch.Put) < 400; from++ {
			batch.Put = append(batch.Put, all.of(from)...)
		}
		_, err := s.Commit(context.Background(), batch)
		check(b, err)
	}
}

// conditions returns the conditions of a login and a refresh: there is no cutoff, and the
// subject has not changed.
func conditions(n int64) []store.Require {
	_, _, subject := ids(n)
	return []store.Require{
		{Key: store.Key{Kind: "cutoff", ID: "client:web"}}, {Key: store.Key{Kind: "cutoff", ID: "all"}}, {Key: store.Key{Kind: "subject", ID: subject}},
	}
}

func check(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

package bench

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/alexedwards/scs/v2"
	"github.com/alexedwards/scs/v2/memstore"
	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/token"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/gorilla/sessions"
)

// storedSessions is how many sessions each store of BenchmarkCookie has.
const storedSessions = 10_000

const cookieName = source.CookieName

func withCookie(value string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, Issuer+"/", nil)
	r.AddCookie(&http.Cookie{Name: cookieName, Value: value})
	return r
}

// BenchmarkCookie finds the session of a request with a session cookie.
func BenchmarkCookie(b *testing.B) {
	b.Run("session cookie", func(b *testing.B) {
		i, ids := issuerWithSessions(b)
		audience := Issuer // the default audience
		follow := func(maxSeen int) *counterfoil.Verifier {
			v, err := counterfoil.NewVerifier(b.Context(), i, counterfoil.Options{Issuer: Issuer, Audience: audience, MaxSeen: maxSeen})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(v.Close)
			return v
		}
		requests := make([]*http.Request, len(ids))
		for n, id := range ids {
			requests[n] = withCookie(id)
		}
		caching := follow(2 * storedSessions)
		n := 0
		each := func(f func(r *http.Request) error) func() error {
			return func() error { n++; return f(requests[n%len(requests)]) }
		}
		for range requests {
			if _, err := caching.VerifyRequest(requests[0]); err != nil {
				b.Fatal(err)
			}
			requests = append(requests[1:], requests[0])
		}
		repeat(b, Ours+", seen", each(func(r *http.Request) error { _, err := caching.VerifyRequest(r); return err }))
		uncached := follow(1)
		repeat(b, Ours+", looked up in memory", each(func(r *http.Request) error { _, err := uncached.VerifyRequest(r); return err }))
		repeat(b, "scs, memory store", scsLoad(b))
		repeat(b, "gorilla, cookie store", gorillaGet(b))
	})
}

func issuerWithSessions(b *testing.B) (*issuer.Issuer, []string) {
	b.Helper()
	auth, err := server.Open(b.Context(), server.Config{
		Store: memory.New(), URL: Issuer, Offline: true, InsecureHashes: true, Logger: slog.New(slog.DiscardHandler), Audit: func(audit.Entry) {},
	})
	if err != nil {
		b.Fatal(err)
	}
	i := auth.Issuer()
	ids := make([]string, storedSessions)
	for n := range ids {
		subject := "usr_" + strconv.Itoa(n)
		rev, err := i.SubjectRev(b.Context(), subject)
		if err != nil {
			b.Fatal(err)
		}
		issued, err := i.Login(b.Context(), login.Proof{Subject: subject, At: time.Now(), SubjectRev: rev, Roles: []string{"staff"}}, issuer.Request{Carrier: counterfoil.CarrierCookie})
		if err != nil {
			b.Fatal(err)
		}
		ids[n] = issued.Access.Reveal()
	}
	return i, ids
}

var errNoSession = errors.New("no session")

func scsLoad(b *testing.B) func() error {
	b.Helper()
	m := scs.New()
	m.Store = memstore.New()
	requests := make([]*http.Request, storedSessions)
	for n := range requests {
		ctx, err := m.Load(b.Context(), "")
		if err != nil {
			b.Fatal(err)
		}
		m.Put(ctx, "subject", "usr_"+strconv.Itoa(n))
		m.Put(ctx, "role", "staff")
		id, _, err := m.Commit(ctx)
		if err != nil {
			b.Fatal(err)
		}
		requests[n] = withCookie(id)
	}
	n := 0
	return func() error {
		n++
		c, err := requests[n%len(requests)].Cookie(cookieName)
		if err != nil {
			return err
		}
		ctx, err := m.Load(context.Background(), c.Value)
		if err == nil && m.GetString(ctx, "subject") == "" {
			err = errNoSession
		}
		return err
	}
}

func gorillaGet(b *testing.B) func() error {
	b.Helper()
	store := sessions.NewCookieStore([]byte(strings.Repeat("h", 32)), []byte(strings.Repeat("e", 32)))
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, Issuer+"/", nil)
	s, err := store.New(r, cookieName)
	if err != nil {
		b.Fatal(err)
	}
	s.Values["subject"], s.Values["role"] = "usr_1", "staff"
	if err := store.Save(r, w, s); err != nil {
		b.Fatal(err)
	}
	r = withCookie(w.Result().Cookies()[0].Value)
	return func() error {
		s, err := store.New(r, cookieName) // not Get, which caches in the request's context
		if err == nil && s.Values["subject"] != "usr_1" {
			err = errNoSession
		}
		return err
	}
}

var sizes = flag.String("sizes", "1000,100000", "sizes of the cache of verified copies in BenchmarkSeen")

// table is a verifier whose cache has all of texts.
type table struct {
	verifier *counterfoil.Verifier
	texts    []string
	peer     Peer // keeps nothing, and verifies a JWT each time
}

// tables has the tables by name. Each is filled once: it takes a minute to sign and verify a
// million tokens.
var tables = struct {
	mu sync.Mutex
	m  map[string]*table
}{m: make(map[string]*table)}

func tableOf(b *testing.B, kind string, size, revoked int) *table {
	b.Helper()
	tables.mu.Lock()
	defer tables.mu.Unlock()
	name := fmt.Sprint(kind, size, revoked)
	if t := tables.m[name]; t != nil {
		return t
	}
	c := contender(b, token.Ed25519)
	// Twice the size, because the cache may keep somewhat fewer entries than MaxSeen.
	v, err := NewVerifier(context.Background(), counterfoil.Options{MaxSeen: 2 * size}, revoked, c.Signer.Key())
	if err != nil {
		b.Fatal(err)
	}
	t := &table{v, make([]string, size), golangJWT(c.Alg, Public(c.Private), time.Now)}
	now := time.Now()
	var wg sync.WaitGroup
	for half := range 2 {
		wg.Go(func() {
			for n := half; n < size; n += 2 {
				text, err := token.NewOpaque(), error(nil)
				if kind == "JWT" {
					text, err = c.Token(now, n)
				}
				for range 3 { // the first checks do more: they put it into the cache, and into lists
					if err == nil {
						_, err = v.Verify(context.Background(), text)
					}
				}
				if err != nil {
					b.Error(err)
					return
				}
				t.texts[n] = text
			}
		})
	}
	wg.Wait()
	if b.Failed() {
		b.FailNow()
	}
	tables.m[name] = t
	return t
}

// BenchmarkSeen verifies cached copies again, in an order that the processor's caches cannot
// predict. The check includes expiry, staleness and revocation. It is compared with maps that
// only find the text, with and without a lock. It is also compared with the least work of any
// such check: to compare the text and to read the clock. And with a library that remembers nothing.
func BenchmarkSeen(b *testing.B) {
	for _, kind := range []string{"JWT", "opaque"} {
		for field := range strings.SplitSeq(*sizes, ",") {
			size, err := strconv.Atoi(field)
			if err != nil {
				b.Fatal(err)
			}
			b.Run(fmt.Sprintf("%s, %d", kind, size), func(b *testing.B) {
				t := tableOf(b, kind, size, 0)
				benchmarkTable(b, t)
				t.benchmarkRaw(b)
				t.benchmark(b, "map and mutex", mapOf(t.texts))
				t.benchmark(b, "sync.Map", syncMapOf(t.texts))
				if kind == "JWT" {
					t.benchmark(b, GolangJWT, func(text string) error {
						_, err := t.peer.Verify(text)
						return err
					})
				}
			})
		}
	}
	b.Run("JWT, 1000, 1000000 revoked", func(b *testing.B) { benchmarkTable(b, tableOf(b, "JWT", 1000, 1_000_000)) })
}

func benchmarkTable(b *testing.B, t *table) {
	b.Helper()
	check := func(text string) error {
		_, err := t.verifier.Verify(context.Background(), text)
		return err
	}
	t.benchmark(b, Ours, check)
	b.Run(Ours+", parallel", func(b *testing.B) {
		var took atomic.Int64
		var starts atomic.Int64
		b.RunParallel(func(pb *testing.PB) {
			r := requests{t: t, n: int(starts.Add(1)) * 1e6}
			for pb.Next() {
				if err := r.one(check); err != nil {
					b.Error(err)
					return
				}
			}
			took.Add(int64(r.took))
		})
		b.ReportMetric(float64(took.Load())/float64(b.N*runtime.GOMAXPROCS(0)), "ns/op")
	})
}

func (t *table) benchmark(b *testing.B, name string, check func(text string) error) {
	b.Helper()
	b.Run(name, func(b *testing.B) { t.time(b, check) })
}

func (t *table) time(b *testing.B, check func(text string) error) {
	b.Helper()
	b.ReportAllocs()
	runtime.GC() // collects the garbage of earlier benchmarks
	r := requests{t: t}
	for b.Loop() {
		if err := r.one(check); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(r.took)/float64(b.N), "ns/op")
}

// benchmarkRaw knows the index of each text, so it need not search.
func (t *table) benchmarkRaw(b *testing.B) {
	b.Helper()
	own := make([]string, len(t.texts))
	for i, text := range t.texts {
		own[i] = strings.Clone(text)
	}
	b.Run(Raw, func(b *testing.B) {
		n, began := 0, time.Now()
		t.time(b, func(text string) error {
			if next(&n, own) != text || time.Since(began) > time.Hour {
				return errNoSession
			}
			return nil
		})
	})
}

// requests checks the texts of a table as a server does: each as a copy that was just read
// from a connection, into memory that is used again. The entries of the table are then no longer in the processor's caches.
// Only the checks are timed, sixteen at a time. A check must keep no text.
type requests struct {
	t    *table
	n    int
	left int // texts that were already checked

	header []byte
	texts  [16]string
	took   time.Duration
}

// one is called once for each text. Every sixteenth call checks sixteen texts.
func (r *requests) one(check func(string) error) error {
	if r.left > 0 {
		r.left--
		return nil
	}
	r.left = len(r.texts) - 1
	var ends [len(r.texts)]int
	r.header = r.header[:0]
	for i := range ends {
		r.header = append(r.header, next(&r.n, r.t.texts)...)
		ends[i] = len(r.header)
	}
	header, start := unsafe.String(&r.header[0], len(r.header)), 0 // a string of its own would be garbage, and collected on another processor
	for i, end := range ends {
		r.texts[i], start = header[start:end], end
	}
	began := time.Now()
	for _, text := range r.texts {
		if err := check(text); err != nil {
			return err
		}
	}
	r.took += time.Since(began)
	return nil
}

// next increments n and returns a text. It returns every text once before it repeats one.
func next(n *int, texts []string) string {
	const step = 7919 // a prime
	*n++
	return texts[*n*step%len(texts)]
}

func mapOf(texts []string) func(string) error {
	var mu sync.RWMutex
	m := make(map[string]*counterfoil.Session, len(texts))
	for _, text := range texts {
		m[strings.Clone(text)] = new(counterfoil.Session)
	}
	return func(text string) error {
		mu.RLock()
		defer mu.RUnlock()
		if m[text] == nil {
			return errNoSession
		}
		return nil
	}
}

func syncMapOf(texts []string) func(string) error {
	var m sync.Map
	for _, text := range texts {
		m.Store(strings.Clone(text), new(counterfoil.Session))
	}
	return func(text string) error {
		if _, ok := m.Load(text); !ok {
			return errNoSession
		}
		return nil
	}
}

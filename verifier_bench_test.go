package counterfoil_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/source"
)

// run: go test -run '^$' -bench . -cpu 1,2 .

func BenchmarkVerify(b *testing.B) {
	s := newScripted(b)
	v := follow(b, s, counterfoil.Options{})
	defer v.Close()
	jwt, id := s.sign(b, "at+jwt", claims()), s.opaque("ses_2")
	verify := func(access string) func(*testing.B) {
		return func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(b.Context(), access); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	b.Run("seen/jwt", verify(jwt))
	b.Run("seen/opaque", verify(id))
	b.Run("seen/parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := v.Verify(b.Context(), jwt); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
	b.Run("seen/among 10000 entries", func(b *testing.B) {
		var head counterfoil.Cursor
		for i := range 10_000 {
			head = s.revoke(source.ScopeSession, fmt.Sprint("other_", i))
		}
		if err := v.WaitFor(b.Context(), head); err != nil {
			b.Fatal(err)
		}
		verify(jwt)(b)
	})
	b.Run("seen/revoked", func(b *testing.B) {
		c := claims()
		c.SID = "ses_" + rand.Text() // -count runs this again
		gone := s.sign(b, "at+jwt", c)
		if _, err := v.Verify(b.Context(), gone); err != nil {
			b.Fatal(err)
		}
		if err := v.WaitFor(b.Context(), s.revoke(source.ScopeSession, c.SID)); err != nil {
			b.Fatal(err)
		}
		refuse(b, v, gone)
	})
	b.Run("junk/shape", func(b *testing.B) { refuse(b, v, strings.Repeat("x", 8000)) })
	b.Run("junk/kid", func(b *testing.B) {
		refuse(b, v, b64(`{"alg":"ES256","typ":"at+jwt","kid":"nobody"}`)+jwt[strings.IndexByte(jwt, '.'):])
	})
	b.Run("junk/signature", func(b *testing.B) { refuse(b, v, jwt[:len(jwt)-8]+"AAAAAAAA") })
}

func refuse(b *testing.B, v *counterfoil.Verifier, access string) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(b.Context(), access); err == nil {
			b.Fatal("accepted")
		}
	}
}

// First sight of an ES256 token: a cache of one forgets every other.
func BenchmarkFirstSight(b *testing.B) {
	s := newScripted(b)
	v := follow(b, s, counterfoil.Options{MaxSeen: 1})
	defer v.Close()
	var access [2]string
	for i := range access {
		c := claims()
		c.ID = fmt.Sprint("tok_", i)
		access[i] = s.sign(b, "at+jwt", c)
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		n++
		if _, err := v.Verify(b.Context(), access[n%2]); err != nil {
			b.Fatal(err)
		}
	}
}

// First sight of an ES256 token allocates what crypto/ecdsa does, the session, and the text of its claims.
func TestFirstSightAllocates(t *testing.T) {
	s := newScripted(t)
	v := follow(t, s, counterfoil.Options{})
	defer v.Close()
	var access []string
	for n := range 501 {
		c := claims()
		c.ID = fmt.Sprint("tok_", n)
		access = append(access, s.sign(t, "at+jwt", c))
	}
	sum := sha256.Sum256(nil)
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := ecdsa.SignASN1(rand.Reader, private, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	plain := testing.AllocsPerRun(100, func() { ecdsa.VerifyASN1(&private.PublicKey, sum[:], sig) })
	next := 0
	seen := testing.AllocsPerRun(len(access)-1, func() {
		if _, err := v.Verify(t.Context(), access[next]); err != nil {
			t.Fatal(err)
		}
		next++
	})
	if seen > plain+10 { // the race detector has pools forget what they have
		t.Errorf("first sight makes %v allocations, the call of crypto/ecdsa %v", seen, plain)
	}
}

type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}

func BenchmarkRequire(b *testing.B) {
	s := newScripted(b)
	v := follow(b, s, counterfoil.Options{})
	defer v.Close()
	handler := v.Require(nothing)
	for name, r := range map[string]*http.Request{
		"cookie": request(counterfoil.CarrierCookie, s.opaque("ses_2")),
		"bearer": request(counterfoil.CarrierBearer, s.sign(b, "at+jwt", claims())),
		"none":   httptest.NewRequest("GET", "/", nil),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			w := discard{http.Header{}}
			for b.Loop() {
				clear(w.header)
				handler.ServeHTTP(w, r)
			}
		})
	}
}

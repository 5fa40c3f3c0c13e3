package bench

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/token"
)

// arena has one key, and Counterfoil and the libraries that trust it.
type arena struct {
	*Contender
	ours  Peer
	peers []Peer
}

// arenas returns arenas whose keys and clock are always the same. So an input that fuzzing
// finds in one process has the same meaning in another.
func arenas(t testing.TB, now time.Time) (list []arena) {
	t.Helper()
	seed := []byte(strings.Repeat("s", 32))
	es, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), seed)
	if err != nil {
		t.Fatal(err)
	}
	clock := func() time.Time { return now }
	for _, k := range []struct {
		alg     token.Alg
		private any
	}{{token.HS256, seed}, {token.ES256, es}, {token.Ed25519, ed25519.NewKeyFromSeed(seed)}} {
		c, err := newContender(k.alg, k.private)
		if err != nil {
			t.Fatal(err)
		}
		a := arena{c, Tokens(c.Signer.Key(), clock), Libraries(k.alg, Public(k.private), clock)}
		if !k.alg.Symmetric() {
			// JWTs only: the Verifier would look up every other format at the Source.
			o := counterfoil.Options{Now: clock, Formats: []counterfoil.Format{counterfoil.JWT}}
			v, err := NewVerifier(context.Background(), o, 0, c.Signer.Key())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(v.Close)
			a.ours = Whole(v)
		}
		list = append(list, a)
	}
	return list
}

// FuzzDifferential: if Counterfoil accepts a token, at least one library accepts it too and
// reads the same subject (TOK-36). Header and claims are changed member by member and signed,
// or byte by byte before and after the signature.
//
// Some tokens that Counterfoil accepts are refused, or read differently, by a library:
//
//	library     token                           reason
//	go-jose     alg is Ed25519                  it has only the name EdDSA; so has golang-jwt,
//	                                            until peers.go adds the name of RFC 9864
//	golang-jwt  SUB, \u017fub, Exp, sId, …      encoding/json binds every case of a name, and the
//	            in addition to the right name   long s for s: it refuses the type of the other
//	                                            member, or takes its value
//
// Counterfoil compares names exactly and skips a member whose name it does not know (TOK-12),
// as jwx and go-jose do. No token that it accepts is refused by all libraries, so the fuzz
// target has no exceptions.
func FuzzDifferential(f *testing.F) {
	now := time.Unix(1_800_000_000, 0)
	list := arenas(f, now)
	claims, err := Typical(now, 1).Marshal()
	if err != nil {
		f.Fatal(err)
	}
	header := func(alg token.Alg) string { return fmt.Sprintf(`{"alg":"%s","kid":"%s","typ":"at+jwt"}`, alg, KeyID) }
	for n, a := range list {
		f.Add(uint8(n), header(a.Alg), string(claims), []byte{}, []byte{}, []byte{}) // a good token
		f.Add(uint8(n), header(a.Alg), string(claims), []byte{0, 0, 0}, []byte{}, []byte{})
		f.Add(uint8(n), header(a.Alg), string(claims), []byte{}, []byte{5, 1, 1, 6, 3, 2}, []byte{})
		f.Add(uint8(n), header(a.Alg), string(claims), []byte{4, 0, 4}, []byte{2, 3, 11}, []byte{})
		f.Add(uint8(n), header(a.Alg), string(claims), []byte{}, []byte{}, []byte{2, 0, 9, '\n'})
		f.Add(uint8(n), header(a.Alg)+" ", strings.Replace(string(claims), ":", " :\n", 1), []byte{}, []byte{}, []byte{0, 1, 200, 1})
	}
	f.Fuzz(func(t *testing.T, which uint8, header, payload string, headerEdits, payloadEdits, edits []byte) {
		if len(header)+len(payload) > 2*token.MaxSize {
			return
		}
		list[int(which)%len(list)].contest(t, header, payload, headerEdits, payloadEdits, edits)
	})
}

// TestDifferential does the same with random edits. They leave more of a token intact than
// the edits of the fuzzer, which search for new branches.
func TestDifferential(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	claims, err := Typical(now, 1).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	chance := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	draw := func(n int) []byte {
		b := make([]byte, chance.IntN(n+1))
		for i := range b {
			b[i] = byte(chance.Uint32())
		}
		return b
	}
	accepted, tried := 0, 0
	for _, a := range arenas(t, now) {
		header := fmt.Sprintf(`{"alg":"%s","kid":"%s","typ":"at+jwt"}`, a.Alg, KeyID)
		n := 300
		if a.Alg.Symmetric() { // a hundred times as fast
			n = 10_000
		}
		for range n {
			tried++
			if a.contest(t, header, string(claims), draw(5), draw(8), draw(6)) {
				accepted++
			}
		}
	}
	t.Logf("%d of %d changed tokens accepted", accepted, tried)
	if accepted < tried/20 || accepted > tried*19/20 {
		t.Errorf("%d of %d changed tokens accepted: the edits test too little", accepted, tried)
	}
}

// contest compares the answers for changed tokens. It reports whether Counterfoil accepts the
// token that was changed before it was signed.
func (a *arena) contest(t *testing.T, header, payload string, headerEdits, payloadEdits, edits []byte) bool {
	t.Helper()
	compact, err := a.SignAny(restructure(header, headerEdits), restructure(payload, payloadEdits))
	if err != nil {
		t.Fatal(err)
	}
	accepted := a.compare(t, compact)
	if len(edits) < 4 {
		return accepted
	}
	a.compare(t, respell(compact, edits))
	unsigned := compact[:strings.LastIndexByte(compact, '.')]
	if first, second, ok := strings.Cut(respell(unsigned, edits), "."); ok {
		compact, err := a.SignParts(first, second)
		if err != nil {
			t.Fatal(err)
		}
		a.compare(t, compact)
	}
	return accepted
}

// compare reports whether Counterfoil accepts a token. The test fails if no library agrees.
func (a *arena) compare(t *testing.T, compact string) bool {
	t.Helper()
	subject, err := a.ours.Verify(compact)
	if err != nil {
		return false
	}
	var answers []string
	for _, p := range a.peers {
		theirs, err := p.Verify(compact)
		if err == nil && theirs == subject {
			return true
		}
		answers = append(answers, fmt.Sprintf("%s: %q, %v", p.Name, theirs, err))
	}
	t.Errorf("only Counterfoil accepts %s, for %q\n%s\n%s", compact, subject, strings.Join(answers, "\n"), decoded(compact))
	return true
}

func decoded(compact string) string {
	var b strings.Builder
	for _, part := range strings.Split(compact, ".")[:2] {
		if raw, err := base64.RawURLEncoding.DecodeString(part); err == nil {
			fmt.Fprintf(&b, "%q\n", raw)
		}
	}
	return b.String()
}

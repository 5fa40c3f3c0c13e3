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

// arena is one key that everybody trusts.
type arena struct {
	*Contender
	ours  Peer
	peers []Peer
}

// arenas have keys and a clock that are always the same, so that an input found in
// one process means the same in another.
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
			// JWTs only: whatever looks like another format is asked about at the Source.
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

// FuzzDifferential: what Counterfoil accepts, some library accepts too, and reads
// the same subject from it (TOK-36). Header and claims are changed member by member
// and signed, or byte by byte before and after the signature.
//
// What single libraries refuse, or read otherwise, of what Counterfoil accepts:
//
//	library     token                             why
//	go-jose     alg is Ed25519                    it has the algorithm as EdDSA only; golang-jwt too,
//	                                              until peers.go teaches it the name of RFC 9864
//	golang-jwt  SUB, \u017fub, Exp, sId, … beside  encoding/json binds every case of a name, and the long s
//	            the right name                    for s: it refuses the other one's type, or takes its value
//
// Counterfoil skips a member of a name that it does not know, exactly compared
// (TOK-12), as jwx and go-jose do. Nothing that it accepts is refused by all, so the
// fuzz target has no exceptions.
func FuzzDifferential(f *testing.F) {
	now := time.Unix(1_800_000_000, 0)
	list := arenas(f, now)
	claims, err := Typical(now, 1).Marshal()
	if err != nil {
		f.Fatal(err)
	}
	header := func(alg token.Alg) string { return fmt.Sprintf(`{"alg":"%s","kid":"%s","typ":"at+jwt"}`, alg, KeyID) }
	for n, a := range list {
		f.Add(uint8(n), header(a.Alg), string(claims), []byte{}, []byte{}, []byte{}) // good
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

// TestDifferential does the same with edits drawn by chance, which leave more of a
// token intact than those that look for new branches.
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
		if a.Alg.Symmetric() { // which is a hundred times as fast
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
		t.Errorf("%d of %d: nothing is tried by that", accepted, tried)
	}
}

// contest reports whether the token that was changed before it was signed is accepted.
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

// compare reports whether Counterfoil accepts a token, and fails if it does so alone.
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
	t.Errorf("Counterfoil alone takes %s for %q\n%s\n%s", compact, subject, strings.Join(answers, "\n"), decoded(compact))
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

package fastverify_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math/big"
	mrand "math/rand/v2"
	"os"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/counterfoiltest"
	"github.com/counterfoil/counterfoil/fastverify"
	"github.com/counterfoil/counterfoil/internal/token"
)

type group struct {
	PublicKey struct{ Uncompressed, Pk string }
	Tests     []struct {
		TcID                      int
		Comment, Msg, Sig, Result string
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func newKey(t testing.TB, alg token.Alg, public any) token.Key {
	t.Helper()
	k, err := token.NewKey("k", alg, public)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TOK-05: each published vector has the result that it is labelled with.
func TestWycheproof(t *testing.T) {
	for name, key := range map[string]func(group) token.Key{
		"ecdsa_secp256r1_sha256_p1363_test": func(g group) token.Key {
			public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), unhex(t, g.PublicKey.Uncompressed))
			if err != nil {
				t.Fatal(err)
			}
			return newKey(t, token.ES256, public)
		},
		"ed25519_test": func(g group) token.Key {
			return newKey(t, token.Ed25519, ed25519.PublicKey(unhex(t, g.PublicKey.Pk)))
		},
	} {
		data, err := os.ReadFile("../internal/token/testdata/wycheproof/" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		var all struct {
			NumberOfTests int
			TestGroups    []group
		}
		if err := json.Unmarshal(data, &all); err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, g := range all.TestGroups {
			k := key(g).With(fastverify.Now())
			for _, v := range g.Tests {
				n++
				if got := k.Holds(unhex(t, v.Msg), unhex(t, v.Sig)); got != (v.Result == "valid") {
					t.Errorf("%s %d (%s): %v, want %s", name, v.TcID, v.Comment, got, v.Result)
				}
			}
		}
		if n != all.NumberOfTests || n < 100 {
			t.Errorf("%s: %d vectors, want %d", name, n, all.NumberOfTests)
		}
	}
}

// The tables and the standard library have one verdict on whatever is signed, and on whatever is changed
// afterwards, also for keys whose multiples meet those of the generator.
func TestAsTheStandardLibrary(t *testing.T) {
	order := elliptic.P256().Params().N
	for _, d := range []*big.Int{big.NewInt(1), big.NewInt(2), big.NewInt(3), big.NewInt(255), big.NewInt(256), new(big.Int).Sub(order, big.NewInt(1)), new(big.Int).Sub(order, big.NewInt(2)), nil} {
		private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if d != nil {
			private, err = ecdsa.ParseRawPrivateKey(elliptic.P256(), d.FillBytes(make([]byte, 32)))
		}
		if err != nil {
			t.Fatal(err)
		}
		same(t, newKey(t, token.ES256, &private.PublicKey), func(input []byte) []byte {
			sum := sha256.Sum256(input)
			r, s, err := ecdsa.Sign(rand.Reader, private, sum[:])
			if err != nil {
				t.Fatal(err)
			}
			return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
		})
	}
	for range 3 {
		public, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		same(t, newKey(t, token.Ed25519, public), func(input []byte) []byte { return ed25519.Sign(private, input) })
	}
}

func same(t *testing.T, plain token.Key, sign func([]byte) []byte) {
	t.Helper()
	fast := plain.With(fastverify.Now())
	for range 200 {
		input := make([]byte, mrand.IntN(300))
		rand.Read(input)
		sig := sign(input)
		if !plain.Holds(input, sig) || !fast.Holds(input, sig) {
			t.Fatalf("a signature of %x is refused: %x", input, sig)
		}
		changed := append([]byte(nil), sig...)
		changed[mrand.IntN(len(changed))] ^= 1 << mrand.IntN(8)
		if plain.Holds(input, changed) || fast.Holds(input, changed) {
			t.Fatalf("a changed signature of %x is accepted: %x", input, changed)
		}
		if fast.Holds(append(input, 0), sig) || fast.Holds(input, sig[:63]) || fast.Holds(input, append(sig, 0)) || fast.Holds(input, make([]byte, 64)) {
			t.Fatal("another input, or no signature, is accepted")
		}
	}
}

// A verifier with tables accepts what its issuer signed and nothing else, before the table of the key is there and
// after. Beyond eight keys the oldest are left to the standard library, which has the same verdict.
func TestVerifier(t *testing.T) {
	is := counterfoiltest.New(t)
	source, err := counterfoil.Remote(is.URL, counterfoil.RemoteOptions{Credential: is.APIKey})
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]*token.Signatures{"made at once": fastverify.Now(), "made meanwhile": fastverify.Tables()} {
		v, err := counterfoil.NewVerifier(t.Context(), source, counterfoil.Options{Issuer: is.URL, Audience: is.URL, InsecureCookies: true, Signatures: s})
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		for range 50 {
			text := is.Token("alice")
			end := len(text) - 10
			changed := text[:end] + string('A'+('B'-text[end])&1) + text[end+1:]
			if _, err := v.Verify(t.Context(), changed); changed != text && !errors.Is(err, counterfoil.ErrInvalidToken) {
				t.Errorf("%s: a changed token: %v", name, err)
			}
			if _, err := v.Verify(t.Context(), text); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestManyKeys(t *testing.T) {
	s := fastverify.Tables()
	keys, sigs := edKeys(t, 20)
	for n := range keys {
		keys[n] = keys[n].With(s)
	}
	for range 100 {
		for n, k := range keys {
			if !k.Holds(input, sigs[n]) || k.Holds(input, sigs[(n+1)%len(sigs)]) {
				t.Fatalf("key %d has a wrong verdict", n)
			}
		}
	}
}

var input = []byte("input")

// edKeys returns keys, and a signature of input by each.
func edKeys(t *testing.T, count int) (keys []token.Key, sigs [][]byte) {
	t.Helper()
	for range count {
		public, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		keys, sigs = append(keys, newKey(t, token.Ed25519, public)), append(sigs, ed25519.Sign(private, input))
	}
	return keys, sigs
}

// A key has one table, however many tokens are checked, verifiers have the key, and times they fetch it. There are at
// most eight, and each is freed with its key.
func TestTablesAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, count := fastverify.Counted()
		keys, sigs := edKeys(t, 12)
		private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(input)
		r, v, err := ecdsa.Sign(rand.Reader, private, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, newKey(t, token.ES256, &private.PublicKey))
		sigs = append(sigs, append(r.FillBytes(make([]byte, 32)), v.FillBytes(make([]byte, 32))...))
		want := func(step string, made, kept int) {
			t.Helper()
			synctest.Wait() // no table is being made
			if m, k := count(); m != made || k != kept {
				t.Errorf("%s: %d tables were made and %d are kept, want %d and %d", step, m, k, made, kept)
			}
		}
		check := func(n int, k token.Key) {
			t.Helper()
			if !k.Holds(input, sigs[n]) {
				t.Errorf("key %d refuses its signature", n)
			}
		}

		last := len(keys) - 1
		held := []token.Key{keys[0].With(s), keys[last].With(s)}
		want("no token was checked", 0, 0)
		for range 3 { // fetched again, before the ones of before are forgotten
			again := []token.Key{keys[0].With(s), keys[last].With(s)}
			for range 10 {
				check(0, again[0])
				check(last, again[1])
			}
			want("two keys", 2, 2)
			held = again
		}
		runtime.KeepAlive(held)
		held = []token.Key{held[1]} // the other one is no longer in the set
		want("one key less", 2, 1)
		for n := range last {
			held = append(held, keys[n].With(s))
			check(n, held[len(held)-1])
			synctest.Wait()
		}
		want("many keys", 2+last, 8)
		for n := range held {
			check((n+last)%len(keys), held[n])
		}
		want("many keys, once more", 2+last, 8)
		runtime.KeepAlive(held)
		held = nil
		want("no keys", 2+last, 0)
	})
}

// BenchmarkVerify compares the tables with the standard library, in turns, by the processor time of the
// thread: ratio is the median of the ratios.
func BenchmarkVerify(b *testing.B) {
	input := make([]byte, 450)
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	sum := sha256.Sum256(input)
	r, s, err := ecdsa.Sign(rand.Reader, private, sum[:])
	if err != nil {
		b.Fatal(err)
	}
	public, edPrivate, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		key token.Key
		sig []byte
	}{
		{newKey(b, token.ES256, &private.PublicKey), append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)},
		{newKey(b, token.Ed25519, public), ed25519.Sign(edPrivate, input)},
	} {
		b.Run(string(c.key.Alg), func(b *testing.B) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			sides := [2]token.Key{c.key, c.key.With(fastverify.Now())}
			var times [2][]float64
			var ratios []float64
			for b.Loop() {
				for side, k := range sides {
					begun := used()
					for range 200 {
						if !k.Holds(input, c.sig) {
							b.Fatal("refused")
						}
					}
					times[side] = append(times[side], (used()-begun)/200)
				}
				n := len(times[0]) - 1
				ratios = append(ratios, times[0][n]/times[1][n])
			}
			b.ReportMetric(median(times[0]), "library-µs")
			b.ReportMetric(median(times[1]), "table-µs")
			b.ReportMetric(median(ratios), "ratio")
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(testing.AllocsPerRun(100, func() { sides[0].Holds(input, c.sig) }), "library-allocs")
			b.ReportMetric(testing.AllocsPerRun(100, func() { sides[1].Holds(input, c.sig) }), "table-allocs")
		})
	}
}

// used is the processor time of the thread in µs.
func used() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(1, &u); err != nil { // RUSAGE_THREAD of getrusage(2)
		panic(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e3
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

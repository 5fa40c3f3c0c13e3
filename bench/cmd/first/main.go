// Command first measures the first sight of a JWT: how much longer a verifier takes for a token that it has not seen
// than the plain call of Go's crypto takes for the signature of the same token.
//
// A run makes tokens that nobody has seen, and checks each by the plain call, by a verifier, and by a verifier with the
// tables of fastverify, in turns, so that other load of the machine affects all of them in the same way. It counts processor
// time of the process, with the collection of garbage. The command prints the ratios of each run and their median. It
// fails if a median is above its bar.
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/bench"
	"github.com/counterfoil/counterfoil/bench/internal/output"
	"github.com/counterfoil/counterfoil/bench/internal/spent"
	"github.com/counterfoil/counterfoil/fastverify"
	"github.com/counterfoil/counterfoil/internal/token"
)

// way is one way to check tokens.
type way struct {
	name  string
	bar   float64 // of its time, by that of the plain call
	check func(made *tokens, n int) error
}

// tokens are pieces of two strings, so that a collection of garbage has nothing to look at but what was allocated
// by the checks.
type tokens struct {
	texts, sigs texts
}

type texts struct {
	all  string
	ends []int
}

func (l *texts) at(n int) string {
	if n == 0 {
		return l.all[:l.ends[0]]
	}
	return l.all[l.ends[n-1]:l.ends[n]]
}

func main() {
	runs := flag.Int("runs", 5, "runs")
	count := flag.Int("tokens", 10_000, "tokens of a run")
	profile := flag.String("cpuprofile", "", "write a profile to this file")
	flag.Parse()
	if *profile != "" {
		f, err := os.Create(*profile)
		if err == nil {
			err = pprof.StartCPUProfile(f)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "first:", err)
			os.Exit(2)
		}
		defer pprof.StopCPUProfile()
	}
	fmt.Println("| | µs | ratio | of the runs | bar | allocations |\n|---|---|---|---|---|---|")
	missed := false
	for _, alg := range []token.Alg{token.ES256, token.Ed25519} {
		over, err := measure(context.Background(), alg, *runs, *count)
		if err != nil {
			fmt.Fprintln(os.Stderr, "first:", err)
			os.Exit(2)
		}
		missed = missed || over
	}
	if missed {
		pprof.StopCPUProfile()
		os.Exit(1)
	}
}

// measure prints the rows of one algorithm, and reports whether one is above its bar.
func measure(ctx context.Context, alg token.Alg, runs, count int) (missed bool, err error) {
	c, err := bench.NewContender(alg)
	if err != nil {
		return false, err
	}
	plain, err := plainCall(bench.Public(c.Private))
	if err != nil {
		return false, err
	}
	ways := []way{{"plain call", 1, func(made *tokens, n int) error {
		text := made.texts.at(n)
		if !plain(text[:strings.LastIndexByte(text, '.')], made.sigs.at(n)) {
			return errors.New("the plain call refuses a signature")
		}
		return nil
	}}}
	for _, v := range []struct {
		name    string
		bar     float64
		options counterfoil.Options
	}{
		{"verifier", 1.04, counterfoil.Options{}},
		{"verifier with fastverify", 0.65, counterfoil.Options{Signatures: fastverify.Tables()}},
	} {
		verifier, err := bench.NewVerifier(ctx, v.options, 0, c.Signer.Key())
		if err != nil {
			return false, err
		}
		defer verifier.Close()
		ways = append(ways, way{v.name, v.bar, func(made *tokens, n int) error {
			_, err := verifier.Verify(ctx, made.texts.at(n))
			return err
		}})
	}
	times, ratios, allocations := make([][]float64, len(ways)), make([][]float64, len(ways)), []float64(nil)
	for run := range runs + 1 { // the first one makes the tables, and is not counted
		made, err := newTokens(c, run*count, count)
		if err != nil {
			return false, err
		}
		took, err := inTurns(ways, made, count)
		if err != nil {
			return false, err
		}
		for n := range ways {
			if run > 0 {
				times[n] = append(times[n], took[n])
				ratios[n] = append(ratios[n], took[n]/took[0])
			}
		}
	}
	made, err := newTokens(c, (runs+1)*count, 1000)
	if err != nil {
		return false, err
	}
	for _, w := range ways {
		n, err := allocated(w, made, 1000)
		if err != nil {
			return false, err
		}
		allocations = append(allocations, n)
	}
	for n, w := range ways {
		ratio := output.Median(ratios[n])
		missed = missed || ratio > w.bar
		fmt.Printf("| %s, %s | %.1f | %.3f | %s | %.2f | %.1f |\n", alg, w.name, output.Median(times[n]), ratio, list(ratios[n]), w.bar, allocations[n])
	}
	return missed, nil
}

func list(values []float64) string {
	var texts []string
	for _, v := range values {
		texts = append(texts, fmt.Sprintf("%.3f", v))
	}
	return strings.Join(texts, ", ")
}

// inTurns returns the µs that each way took for a token.
func inTurns(ways []way, made *tokens, count int) ([]float64, error) {
	const batch = 20
	runtime.GC() // what was made before is nobody's garbage
	took := make([]time.Duration, len(ways))
	for turn := 0; (turn+1)*batch <= count; turn++ {
		for n := range ways {
			way := (turn + n) % len(ways)
			began := spent.ByProcess()
			for i := range batch {
				if err := ways[way].check(made, turn*batch+i); err != nil {
					return nil, err
				}
			}
			took[way] += spent.ByProcess() - began
		}
	}
	us := make([]float64, len(ways))
	for n, d := range took {
		us[n] = float64(d.Nanoseconds()) / 1e3 / float64(count/batch*batch)
	}
	return us, nil
}

// allocated returns the allocations of w for a token.
func allocated(w way, made *tokens, count int) (float64, error) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for n := range count {
		if err := w.check(made, n); err != nil {
			return 0, err
		}
	}
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs-before.Mallocs) / float64(count), nil
}

// newTokens returns tokens of different logins.
func newTokens(c *bench.Contender, first, count int) (*tokens, error) {
	now, made := time.Now(), new(tokens)
	var texts, sigs []byte
	for n := range count {
		text, err := c.Token(now, first+n)
		if err != nil {
			return nil, err
		}
		sig, err := plainSignature(c.Private, []byte(text[:strings.LastIndexByte(text, '.')]))
		if err != nil {
			return nil, err
		}
		texts, sigs = append(texts, text...), append(sigs, sig...)
		made.texts.ends, made.sigs.ends = append(made.texts.ends, len(texts)), append(made.sigs.ends, len(sigs))
	}
	made.texts.all, made.sigs.all = string(texts), string(sigs)
	return made, nil
}

// plainSignature signs input in the form that is cheapest for the plain call.
func plainSignature(private any, input []byte) ([]byte, error) {
	switch p := private.(type) {
	case *ecdsa.PrivateKey:
		sum := sha256.Sum256(input)
		return ecdsa.SignASN1(rand.Reader, p, sum[:])
	case ed25519.PrivateKey:
		return ed25519.Sign(p, input), nil
	}
	return nil, fmt.Errorf("no plain call for %T", private)
}

// plainCall returns the call of Go's crypto that verifies a signature.
func plainCall(public any) (func(input, sig string) bool, error) {
	var text, sig []byte // the call takes bytes: to copy them into the same memory costs next to nothing
	switch p := public.(type) {
	case *ecdsa.PublicKey:
		return func(input, by string) bool {
			text, sig = append(text[:0], input...), append(sig[:0], by...)
			sum := sha256.Sum256(text)
			return ecdsa.VerifyASN1(p, sum[:], sig)
		}, nil
	case ed25519.PublicKey:
		return func(input, by string) bool {
			text, sig = append(text[:0], input...), append(sig[:0], by...)
			return ed25519.Verify(p, text, sig)
		}, nil
	}
	return nil, fmt.Errorf("no plain call for %T", public)
}

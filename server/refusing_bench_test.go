package server_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/server"
)

// dearTexts are the dearest texts that a field of so many bytes can have.
func dearTexts(most int) map[string]string {
	return map[string]string{
		"letters": strings.Repeat("a", most), "escapes": strings.Repeat("\u0001", most), "marks": strings.Repeat("e\u0301", most/3),
		"ligatures": strings.Repeat("\ufdfa", most/3), "two expand": strings.Repeat("\u0390", most/2), "too long": strings.Repeat("\ufdfa", most),
	}
}

// BenchmarkCostOfRefusing compares, for each public route, the processor time of the dearest
// input with that of a short one that is refused, too (LOGIN-04), over a connection that stays
// open. It prints the largest ratio, and whose it is. Hashes cost nothing here, so that what is
// not hashing shows. Reading 16 KiB costs net/http itself more than a short request does, so a
// second ratio leaves out what a handler takes that only reads the same request and refuses it.
// Each iteration asks all routes: run it with -benchtime 1x.
func BenchmarkCostOfRefusing(b *testing.B) {
	e, _ := counted(b)
	web := httptest.NewServer(e)
	defer web.Close()
	bare := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusBadRequest)
	}))
	defer bare.Close()
	client := &http.Client{Transport: &http.Transport{}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	cost := func(at string, make func() *http.Request) time.Duration {
		const times = 40
		built := make()
		body, err := io.ReadAll(built.Body)
		if err != nil {
			b.Fatal(err)
		}
		request, err := http.NewRequest(built.Method, at+built.URL.RequestURI(), nil)
		if err != nil {
			b.Fatal(err)
		}
		request.Header = built.Header
		best := time.Hour
		for range 5 {
			began := processor(b)
			for range times {
				sent := request.WithContext(b.Context())
				sent.Body, sent.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
				res, err := client.Do(sent)
				if err != nil {
					b.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
			}
			best = min(best, (processor(b)-began)/times)
		}
		return best
	}
	for b.Loop() {
		worst, whose, own, owner := 0.0, "", 0.0, ""
		for _, route := range publicRoutes() {
			cost(web.URL, func() *http.Request { return route.request("", "") }) // what is used for the first time
			ordinary := cost(web.URL, func() *http.Request { return route.request("", "") })
			inputs := map[string]func() *http.Request{}
			for _, name := range route.names() {
				for kind, text := range dearTexts(server.MaxOf(name)) {
					inputs[name+" of "+kind] = func() *http.Request { return route.request(name, text) }
				}
			}
			body := func(text string) func() *http.Request {
				return func() *http.Request {
					r := route.request("", "")
					target := r.URL.String()
					if route.media == "" {
						target = route.path + "?" + strings.NewReplacer("{", "", `"`, "", "[", "", ":", "=").Replace(text)
					}
					made := httptest.NewRequest(route.method, target, strings.NewReader(text))
					made.Header = r.Header
					return made
				}
			}
			inputs["a body of lists"] = body(`{"a":` + strings.Repeat("[", 8000) + strings.Repeat("]", 8000) + `}`)
			inputs["a body of members"] = body("{" + members(1500) + "}")
			inputs["a body of parameters"] = body(strings.Repeat("a=1&b=%41&", 1500))
			for kind, input := range inputs {
				if len(input().URL.RequestURI()) > 32<<10 {
					continue // the program's listener takes no longer header
				}
				took, read := cost(web.URL, input), cost(bare.URL, input)
				told := fmt.Sprintf("%s %s, %s: %v, of which net/http %v, ordinary %v", route.method, route.path, kind, took, read, ordinary)
				if ratio := float64(took) / float64(ordinary); ratio > worst {
					worst, whose = ratio, told
				}
				if ratio := float64(took-read) / float64(ordinary); ratio > own {
					own, owner = ratio, told
				}
			}
		}
		b.ReportMetric(worst, "dearest/ordinary")
		b.ReportMetric(own, "dearest-own/ordinary")
		b.Log("dearest:", whose)
		b.Log("dearest without net/http:", owner)
	}
}

func members(n int) string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf(`"m%d":1`, i)
	}
	return strings.Join(all, ",")
}

// processor is the processor time of this process.
func processor(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkHostileConnections has eight connections send what costs most to refuse, as fast as
// it is answered, and watches checks of sessions on the same server: their p99 with and
// without (LOGIN-04). b.N is the rounds, each of a quiet second and a hostile one: run it
// with -benchtime 10x.
func BenchmarkHostileConnections(b *testing.B) {
	s := newService(b, runtime.NumCPU())
	var quiet, under []float64
	var refused int
	for range b.N {
		quiet = append(quiet, s.watch(b, time.Second)...)
		ctx, cancel := context.WithCancel(b.Context())
		var all sync.WaitGroup
		var mu sync.Mutex
		for n := range 8 {
			all.Go(func() {
				sent := s.attack(ctx, n)
				mu.Lock()
				defer mu.Unlock()
				refused += sent
			})
		}
		under = append(under, s.watch(b, time.Second)...)
		cancel()
		all.Wait()
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(refused)/float64(b.N), "refused/s")
	b.ReportMetric(quantile(quiet, 0.99), "p99-ms-quiet")
	b.ReportMetric(quantile(under, 0.99), "p99-ms-hostile")
	b.ReportMetric(quantile(under, 0.99)/quantile(quiet, 0.99), "p99-hostile/quiet")
}

// attack sends hostile logins until ctx ends, and returns how many were answered.
func (s *service) attack(ctx context.Context, n int) (sent int) {
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	bodies := slices.Collect(func(yield func(string) bool) {
		for _, text := range []string{strings.Repeat("\ufdfa", 84), strings.Repeat("\ufdfa", 21_000), strings.Repeat("e\u0301", 84), strings.Repeat("a", 254)} {
			if !yield(`{"identifier":"` + text + `","password":"whatever it is they try"}`) {
				return
			}
		}
	})
	for ctx.Err() == nil {
		r, err := http.NewRequestWithContext(ctx, "POST", s.url+"/v1/login", strings.NewReader(bodies[sent%len(bodies)]))
		if err != nil {
			return sent
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("X-From", fmt.Sprintf("[2001:%x:%x::1]:1", n, sent))
		res, err := client.Do(r)
		if err != nil {
			continue // ctx has ended, or the server cut a body that is too long
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		sent++
	}
	return sent
}

package server_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/testsvc"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/login/password"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store/memory"
)

// TestMain lets this program be the one that hashes.
func TestMain(m *testing.M) {
	if os.Getenv("SERVER_TEST_WORKER") == "" {
		testsvc.Main(m)
	}
	runtime.GOMAXPROCS(1)
	if err := password.Work(os.Stdin, os.Stdout); err != nil {
		os.Exit(1)
	}
}

// hashWorker starts it with the priority that "counterfoil serve" gives it.
func hashWorker(slot int) *exec.Cmd {
	c := exec.Command("nice", "-n", "5", os.Args[0]) // /proc/self would be nice
	if slot > 0 {
		c = exec.Command("chrt", "--idle", "0", os.Args[0])
	}
	c.Env = append(os.Environ(), "SERVER_TEST_WORKER=1")
	return c
}

// service is an auth server, and beside it a handler of an application that lets
// sessions in. Requests come from as many addresses as they say in X-From.
type service struct {
	url    string
	check  http.Handler
	issuer *issuer.Issuer

	strangers atomic.Int64 // who tried to log in
}

// newService hashes passwords in so many processes, or with 0 in this one.
func newService(b *testing.B, workers int) *service {
	b.Helper()
	fatal := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	var mux http.Handler
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { mux.ServeHTTP(w, r) }))
	b.Cleanup(web.Close)
	ctx, db := context.Background(), memory.New()
	c := server.Config{Store: db, URL: web.URL, Logger: slog.New(slog.DiscardHandler), Audit: func(audit.Entry) {}}
	if workers > 0 {
		c.HashSlots, c.HashWorker = workers, hashWorker
	}
	auth, err := server.Open(ctx, c)
	fatal(err)
	b.Cleanup(func() { fatal(auth.Close()) })
	fatal(auth.AddUser(ctx, "alice", pass))
	check := auth.Verifier().Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	mux = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/check" {
			check.ServeHTTP(w, r)
			return
		}
		if from := r.Header.Get("X-From"); from != "" {
			r.RemoteAddr = from
		}
		auth.ServeHTTP(w, r)
	})
	return &service{url: web.URL, check: check, issuer: auth.Issuer()}
}

// authorize signs somebody in and puts the credential on a request.
func (s *service) authorize(b *testing.B, c counterfoil.Carrier) *http.Request {
	b.Helper()
	i, err := s.issuer.Login(context.Background(), login.Proof{Subject: "usr_1", At: time.Now(), Roles: []string{"staff"}}, issuer.Request{Carrier: c})
	if err != nil {
		b.Fatal(err)
	}
	r, err := http.NewRequest("GET", s.url+"/check", nil)
	if err != nil {
		b.Fatal(err)
	}
	if c.Transport == counterfoil.Cookie {
		r.AddCookie(&http.Cookie{Name: source.InsecureCookieName, Value: i.Access.Reveal()})
	} else {
		r.Header.Set("Authorization", "Bearer "+i.Access.Reveal())
	}
	return r
}

// BenchmarkRequire is the check of a request whose credential was seen before, through the
// middleware and without a network; "nothing" is the handler alone.
func BenchmarkRequire(b *testing.B) {
	s := newService(b, 0)
	serve := func(b *testing.B, h http.Handler, r *http.Request) {
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code != http.StatusNoContent {
			b.Fatalf("status %d: %s", w.Code, w.Body)
		}
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			w := httptest.NewRecorder()
			for pb.Next() {
				h.ServeHTTP(w, r)
			}
		})
	}
	b.Run("nothing", func(b *testing.B) {
		r := httptest.NewRequest("GET", "/check", nil)
		serve(b, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) }), r)
	})
	for _, c := range []counterfoil.Carrier{counterfoil.CarrierCookie, counterfoil.CarrierBearer, counterfoil.CarrierJWTCookie, counterfoil.CarrierJWE} {
		b.Run(c.String(), func(b *testing.B) { serve(b, s.check, s.authorize(b, c)) })
	}
}

// BenchmarkLoginFlood offers ten times the logins that the hashing slots can take, each for
// another account from another address, and watches checks of sessions on the same
// server: their p99 with and without the flood, and the memory of this process and of
// those that hash. They hash as "counterfoil serve" does, in processes of low priority,
// or as a server that is embedded, in this one. b.N is the rounds, each of a quiet
// second and one of flood: run it with -benchtime 10x.
func BenchmarkLoginFlood(b *testing.B) {
	for _, workers := range []int{runtime.NumCPU(), 0} { // 0 last: a peak stays
		name := "processes"
		if workers == 0 {
			name = "in-process"
		}
		b.Run(name, func(b *testing.B) {
			s := newService(b, workers)
			s.logIn(max(1, workers), 1) // starts the processes
			const tries = 8
			began := time.Now()
			s.logIn(max(1, workers), tries)
			offered := time.Since(began) / tries / 10 / time.Duration(max(1, workers))
			var tried, checked atomic.Int64
			var quiet, under []float64
			var hashed time.Duration
			for range b.N {
				quiet = append(quiet, s.watch(b, time.Second)...)
				began, stop := time.Now(), s.flood(offered, &tried, &checked)
				under = append(under, s.watch(b, time.Second)...)
				stop()
				hashed += time.Since(began)
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(tried.Load())/float64(b.N), "logins-offered/s")
			b.ReportMetric(float64(checked.Load())/hashed.Seconds(), "logins-checked/s")
			for at, q := range map[string]float64{"p50": 0.50, "p99": 0.99} {
				b.ReportMetric(quantile(quiet, q), at+"-ms-quiet")
				b.ReportMetric(quantile(under, q), at+"-ms-flood")
			}
			b.ReportMetric(resident(b, "self"), "peak-RSS-MiB")
			hashing := 0.0
			for _, pid := range children(b) {
				hashing += resident(b, pid)
			}
			b.ReportMetric(hashing, "peak-RSS-MiB-hashing")
		})
	}
}

// flood offers a login every so often until it is stopped, which waits for those under way.
func (s *service) flood(every time.Duration, tried, checked *atomic.Int64) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				tried.Add(1)
				all.Go(func() {
					if s.tryLogin(int(s.strangers.Add(1))) == http.StatusUnauthorized {
						checked.Add(1)
					}
				})
			}
		}
	})
	return func() { cancel(); all.Wait() }
}

// logIn has so many clients try so many logins each, one after another.
func (s *service) logIn(clients, tries int) {
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for range tries {
				s.tryLogin(int(s.strangers.Add(1)))
			}
		})
	}
	all.Wait()
}

func (s *service) tryLogin(n int) (status int) {
	r, err := http.NewRequest("POST", s.url+"/v1/login", strings.NewReader(fmt.Sprintf(`{"identifier":"somebody%d","password":"whatever it is they try"}`, n)))
	if err != nil {
		return 0
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-From", fmt.Sprintf("10.%d.%d.%d:1", n>>16&255, n>>8&255, n&255))
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode
}

// watch checks a session two hundred times a second, each at its time whatever
// became of the one before, and returns how long each took, in milliseconds.
func (s *service) watch(b *testing.B, d time.Duration) (took []float64) {
	b.Helper()
	requests := []*http.Request{s.authorize(b, counterfoil.CarrierCookie), s.authorize(b, counterfoil.CarrierBearer)}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}}
	var mu sync.Mutex
	var wg sync.WaitGroup
	began := time.Now()
	for n := 0; ; n++ {
		at := began.Add(time.Duration(n) * 5 * time.Millisecond)
		if at.Sub(began) > d {
			break
		}
		time.Sleep(time.Until(at))
		wg.Go(func() {
			began := time.Now()
			res, err := client.Do(requests[n%2].Clone(context.Background()))
			if err != nil {
				b.Error(err)
				return
			}
			res.Body.Close()
			if res.StatusCode != http.StatusNoContent {
				b.Errorf("check = %d", res.StatusCode)
			}
			mu.Lock()
			took = append(took, float64(time.Since(began))/1e6)
			mu.Unlock()
		})
	}
	wg.Wait()
	return took
}

func quantile(took []float64, q float64) float64 {
	slices.Sort(took)
	return took[min(len(took)-1, int(q*float64(len(took))))]
}

// children are the processes that this one has started.
func children(b *testing.B) []string {
	b.Helper()
	var all []string
	tasks, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		b.Fatal(err)
	}
	for _, name := range tasks {
		list, err := os.ReadFile(name)
		if err != nil {
			continue // a thread that ended
		}
		all = append(all, strings.Fields(string(list))...)
	}
	return all
}

// resident is the most memory a process ever had.
func resident(b *testing.B, pid string) float64 {
	b.Helper()
	status, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		return 0 // another system: no figure
	}
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); fields[0] == "VmHWM:" {
			kib, err := strconv.ParseFloat(fields[1], 64)
			if err != nil {
				b.Fatal(err)
			}
			return kib / 1024
		}
	}
	return 0
}

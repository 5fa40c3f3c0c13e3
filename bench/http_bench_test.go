package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/alexedwards/scs/v2/memstore"
	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/token"
	"github.com/counterfoil/counterfoil/source"
)

// serveEnv makes the test binary run a server instead of tests. The server has its own
// process, so that its processor time can be measured without that of the load.
const serveEnv = "BENCH_SERVE"

func TestMain(m *testing.M) {
	if carrier := os.Getenv(serveEnv); carrier != "" {
		if err := serve(carrier); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// announcement is the first line of output of a server. The load reads it.
type announcement struct {
	Address  string
	Fields   map[string][]string // header fields of the callers, by path; each caller has another subject
	Contests []string            // paths, the bare handler first
}

const callers = 1000

// serve runs a server until its input ends. It answers the same two bytes on every path. The
// path names the contender that verifies the credential first.
func serve(carrier string) error {
	bare := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	mux := http.NewServeMux()
	mux.Handle("/"+Raw, bare)
	mux.HandleFunc("/rusage", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, processorTime()) })
	contest := contestCookie
	if carrier == "bearer" {
		contest = contestBearer
	}
	a, err := contest(mux, bare)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	a.Address = l.Addr().String()
	if err := json.NewEncoder(os.Stdout).Encode(a); err != nil {
		return err
	}
	go func() { _ = http.Serve(l, mux) }()
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// processorTime returns the processor time that this process has used, in nanoseconds.
func processorTime() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

func contestBearer(mux *http.ServeMux, next http.Handler) (*announcement, error) {
	c, err := NewContender(token.ES256)
	if err != nil {
		return nil, err
	}
	v, err := NewVerifier(context.Background(), counterfoil.Options{}, 0, c.Signer.Key())
	if err != nil {
		return nil, err
	}
	mux.Handle("/"+Ours, v.Require(next))
	peer := golangJWT(c.Alg, Public(c.Private), time.Now)
	mux.HandleFunc("/"+GolangJWT, func(w http.ResponseWriter, r *http.Request) {
		text, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if _, err := peer.Verify(text); !ok || err != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
	a := &announcement{Fields: make(map[string][]string), Contests: []string{Raw, Ours, GolangJWT}}
	for n := range callers {
		text, err := c.Token(time.Now(), n)
		if err != nil {
			return nil, err
		}
		for _, path := range a.Contests {
			a.Fields[path] = append(a.Fields[path], "Authorization: Bearer "+text)
		}
	}
	return a, nil
}

func contestCookie(mux *http.ServeMux, next http.Handler) (*announcement, error) {
	c, err := NewContender(token.ES256) // not used, but a Verifier needs a key
	if err != nil {
		return nil, err
	}
	v, err := NewVerifier(context.Background(), counterfoil.Options{InsecureCookies: true}, 0, c.Signer.Key())
	if err != nil {
		return nil, err
	}
	mux.Handle("/"+Ours, v.Require(next))
	m := scs.New()
	m.Store = memstore.New()
	m.Cookie.Name = source.InsecureCookieName
	mux.Handle("/scs", m.LoadAndSave(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if m.GetString(r.Context(), "subject") == "" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})))
	a := &announcement{Fields: make(map[string][]string), Contests: []string{Raw, Ours, "scs"}}
	for range callers {
		ctx, err := m.Load(context.Background(), "")
		if err != nil {
			return nil, err
		}
		m.Put(ctx, "subject", "usr_1")
		id, _, err := m.Commit(ctx)
		if err != nil {
			return nil, err
		}
		// Both kinds of id have 43 characters, so the requests have the same size.
		ours := "Cookie: cf=" + token.NewOpaque()
		a.Fields[Raw] = append(a.Fields[Raw], ours)
		a.Fields[Ours] = append(a.Fields[Ours], ours)
		a.Fields["scs"] = append(a.Fields["scs"], "Cookie: cf="+id)
	}
	return a, nil
}

// BenchmarkHTTP loads a server in another process, over loopback. It compares a handler that
// does nothing with the same handler behind a check. ns/op is the time between two answers.
// cpu-ns/op is the processor time of the server.
func BenchmarkHTTP(b *testing.B) {
	for _, carrier := range []string{"cookie", "bearer"} {
		b.Run(carrier, func(b *testing.B) {
			a := startServer(b, carrier)
			for _, path := range a.Contests {
				l := newLoad(b, a, path)
				b.Run(path, func(b *testing.B) {
					before := a.rusage(b)
					b.ResetTimer()
					if err := l.run(b.N); err != nil {
						b.Fatal(err)
					}
					b.StopTimer()
					b.ReportMetric(float64(a.rusage(b)-before)/float64(b.N), "cpu-ns/op")
					b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
				})
			}
		})
	}
}

func startServer(b *testing.B, carrier string) *announcement {
	b.Helper()
	binary, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(binary)
	cmd.Env = append(os.Environ(), serveEnv+"="+carrier)
	cmd.Stderr = os.Stderr
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = in.Close() // the server ends when its input ends
		_ = cmd.Wait()
	})
	var a announcement
	if err := json.NewDecoder(out).Decode(&a); err != nil {
		b.Fatal(err)
	}
	return &a
}

func (a *announcement) rusage(b *testing.B) (used int64) {
	b.Helper()
	resp, err := http.Get("http://" + a.Address + "/rusage")
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := fmt.Fscan(resp.Body, &used); err != nil {
		b.Fatal(err)
	}
	return used
}

// load has kept-alive connections, and the requests to send over them. It writes prepared
// bytes and counts the bytes that it reads, so that the load itself costs little.
type load struct {
	conns    []net.Conn
	requests [][]byte
	answer   int // bytes of each answer
}

const connections = 16

// newLoad opens the connections, and sends the request of every caller once, so that caches
// are filled.
func newLoad(b *testing.B, a *announcement, path string) *load {
	b.Helper()
	l := &load{}
	for _, field := range a.Fields[path] {
		l.requests = append(l.requests, fmt.Appendf(nil, "GET /%s HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n%s\r\n\r\n", path, field))
	}
	for range connections {
		conn, err := net.Dial("tcp", a.Address)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = conn.Close() })
		if err := conn.SetDeadline(time.Now().Add(5 * time.Minute)); err != nil { // with an answer of another size, run would wait for ever
			b.Fatal(err)
		}
		l.conns = append(l.conns, conn)
	}
	for _, request := range l.requests {
		answer, err := exchange(l.conns[0], request)
		if err != nil {
			b.Fatal(err)
		}
		l.answer = answer
	}
	return l
}

// exchange sends a request, reads the answer as HTTP, and returns the size of the answer.
func exchange(conn net.Conn, request []byte) (size int, err error) {
	if _, err := conn.Write(request); err != nil {
		return 0, err
	}
	var raw bytes.Buffer
	resp, err := http.ReadResponse(bufio.NewReader(io.TeeReader(conn, &raw)), nil)
	if err != nil {
		return 0, err
	}
	body, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || string(body) != "ok") {
		err = fmt.Errorf("%s %q", resp.Status, body)
	}
	return raw.Len(), err
}

// run sends n requests.
func (l *load) run(n int) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, len(l.conns))
	for c, conn := range l.conns {
		wg.Go(func() {
			answer := make([]byte, l.answer)
			for {
				i := int(next.Add(1))
				if i > n {
					return
				}
				if _, err := conn.Write(l.requests[i%len(l.requests)]); err != nil {
					errs[c] = err
					return
				}
				if _, err := io.ReadFull(conn, answer); err != nil {
					errs[c] = err
					return
				}
				if !bytes.HasPrefix(answer, []byte("HTTP/1.1 200 ")) {
					errs[c] = fmt.Errorf("answer %q", answer)
					return
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

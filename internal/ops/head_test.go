package ops

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Lines that a handler has written stand in the head of its own answer, and in no other one. If its answer
// is another than it said, then nobody gets the lines (GW-03).
func TestWriteHead(t *testing.T) {
	cert, key, _ := writePair(t, t.TempDir(), 1)
	took := make(chan bool, 1)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/none" {
			return
		}
		took <- w.(interface{ WriteHead(string) bool }).WriteHead("Who: alice\r\nWhere: here\r\n")
		if r.URL.Path == "/broken" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		w.Header()["Cache-Control"] = []string{"no-store"}
		w.WriteHeader(http.StatusOK)
	})
	plain, secure := serveHead(t, handler, Settings{}), serveHead(t, handler, Settings{TLSCert: cert, TLSKey: key})

	c, err := net.Dial("tcp", plain)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	in := bufio.NewReader(c)
	ask := func(method, path, version string) (*http.Response, error) {
		_, _ = io.WriteString(c, method+" "+path+" "+version+"\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
		res, err := http.ReadResponse(in, &http.Request{Method: method})
		if err == nil {
			_, err = io.Copy(io.Discard, res.Body)
		}
		return res, err
	}
	for _, one := range []struct {
		method, path, version string
		takes                 bool
	}{{"GET", "/", "HTTP/1.1", true}, {"GET", "/none", "HTTP/1.1", false}, {"POST", "/", "HTTP/1.1", true}, {"HEAD", "/", "HTTP/1.1", false}, {"GET", "/", "HTTP/1.0", false}, {"GET", "/", "HTTP/1.1", true}} {
		res, err := ask(one.method, one.path, one.version)
		if err != nil {
			t.Fatal(err)
		}
		if one.path != "/none" && <-took != one.takes {
			t.Errorf("%v: it takes lines", one)
		}
		want := ""
		if one.takes {
			want = "alice here"
		}
		if got := strings.TrimSpace(res.Header.Get("Who") + " " + res.Header.Get("Where")); res.StatusCode != 200 || got != want || one.method != "HEAD" && res.ContentLength != 0 {
			t.Errorf("%v: %d %v, length %d, want %q", one, res.StatusCode, res.Header, res.ContentLength, want)
		}
		if one.path == "/" && res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%v: %v, want what is in Header besides", one, res.Header)
		}
	}
	if _, err := ask("GET", "/broken", "HTTP/1.1"); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("an answer for which the lines are not: %v, want the end of the connection", err)
	}
	<-took

	h2c := new(http.Protocols)
	h2c.SetUnencryptedHTTP2(true)
	for url, transport := range map[string]*http.Transport{
		"http://" + plain: {Protocols: h2c}, "https://" + secure: {TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
	} {
		res, err := (&http.Client{Transport: transport}).Get(url)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		transport.CloseIdleConnections()
		if <-took || res.StatusCode != 200 || res.Header.Get("Who") != "" {
			t.Errorf("%s %s: %d %v, and it takes lines", url, res.Proto, res.StatusCode, res.Header)
		}
	}
}

// serveHead serves h until the test is over, and returns where.
func serveHead(t *testing.T, h http.Handler, settings Settings) string {
	t.Helper()
	settings.Listen, settings.OpsListen = "127.0.0.1:0", "off"
	s, err := Listen(Options{Settings: &settings, Metrics: NewMetrics(nil), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	s.Handle(h, nil)
	ctx, stop := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- s.Run(ctx, func() error { return nil }) }()
	t.Cleanup(func() {
		stop()
		if err := <-ran; err != nil {
			t.Error(err)
		}
	})
	return s.Addr().String()
}

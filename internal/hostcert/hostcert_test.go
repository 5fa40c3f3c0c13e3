package hostcert

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/acme"

	"github.com/counterfoil/counterfoil/internal/private"
)

const app = "app.example.com"

// open opens a set whose CA does not answer.
func open(t *testing.T, folder string, log *bytes.Buffer) *Set {
	t.Helper()
	s, err := Open(Options{Directory: "https://127.0.0.1:1/dir", Folder: folder, Logger: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// After each failure the CA is asked later than after the one before. A program that is started again
// does not ask sooner than 12 minutes after the last failure.
func TestPausesAfterFailures(t *testing.T) {
	folder := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		run := func(s *Set) (stop func()) {
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error)
			go func() { ended <- s.Run(ctx) }()
			return func() {
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			}
		}
		failed := func(s *Set) failures {
			h := s.host(app)
			h.mu.Lock()
			defer h.mu.Unlock()
			return h.failed
		}
		s := open(t, folder, &log)
		s.SetHosts([]string{app})
		stop := run(s)
		for n, pause := range slices.Concat(pauses, pauses[len(pauses)-1:]) {
			asked := time.Now()
			synctest.Wait() // also for the network: who waits for that is not blocked durably
			if is := failed(s); is.Count != n+1 || is.Next.Sub(is.Last) < pause || is.Next.Sub(is.Last) > pause+pause/10 || is.Last.Sub(asked) > time.Minute {
				t.Fatalf("failure %d: %+v, want a pause of %v", n+1, is, pause)
			}
			time.Sleep(time.Until(failed(s).Next))
		}
		stop()
		if _, err := os.Stat(filepath.Join(string(s.files), app+failedFile)); err != nil || !strings.Contains(log.String(), "connection refused") {
			t.Errorf("%v\n%s", err, &log)
		}

		s = open(t, folder, &log)
		s.SetHosts([]string{app})
		was := failed(s)
		if due := s.host(app).due(); was.Count < 7 || !due.Equal(was.Last.Add(soonest)) {
			t.Errorf("after a start the CA is asked at %v after %+v, want 12 minutes after the last failure", due, was)
		}
		if s.read(s.host(app)); !s.host(app).due().Equal(was.Last.Add(soonest)) {
			t.Error("what the folder has takes the shorter pause back")
		}
		s.host(app).failed.Limited = true
		s.host(app).failed.Next = was.Last.Add(time.Hour)
		s.SetHosts([]string{app})
		if due := s.host(app).due(); !due.Equal(was.Last.Add(time.Hour)) {
			t.Errorf("the CA is asked at %v, and it has said when: %v", due, was.Last.Add(time.Hour))
		}
	})
}

// A damaged certificate does not make the CA forget how often it was asked, and a wrong clock does not keep the gateway from asking
// for years.
func TestDamagedFolder(t *testing.T) {
	var log bytes.Buffer
	s, now := open(t, t.TempDir(), &log), time.Now()
	for name, text := range map[string]string{app + pairFile: "junk", "junk.example.com" + failedFile: "junk"} {
		if err := os.WriteFile(filepath.Join(string(s.files), name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	last := now.Add(-time.Minute)
	for name, failed := range map[string]failures{app: {3, last, now.Add(time.Hour), true, ""}, "clock.example.com": {1, now.AddDate(4, 0, 0), now.AddDate(5, 0, 0), true, ""}} {
		if err := s.files.note(name+failedFile, failed); err != nil {
			t.Fatal(err)
		}
	}
	s.SetHosts([]string{app, "junk.example.com", "clock.example.com"})
	for name, want := range map[string]time.Time{app: now.Add(time.Hour), "junk.example.com": {}, "clock.example.com": {}} {
		if due := s.host(name).due(); !due.Equal(want) {
			t.Errorf("%s is due at %v, want %v", name, due, want)
		}
	}
	if strings.Count(log.String(), "not read") != 2 {
		t.Errorf("two files are damaged: %s", &log)
	}
}

// When the CA says that it was asked too often, it says for how long.
func TestRateLimit(t *testing.T) {
	now := time.Unix(1e9, 0)
	limited := &acme.Error{StatusCode: 429, ProblemType: "urn:ietf:params:acme:error:rateLimited", Header: http.Header{"Retry-After": {"36000"}}}
	is := failures{}.after(errors.Join(errors.New("order"), limited), now)
	if !is.Limited || is.Next.Sub(now) != 10*time.Hour {
		t.Errorf("%+v, want a pause of 10 hours", is)
	}
	if again(1, nil, &http.Response{StatusCode: 429}) != 0 || again(1, nil, &http.Response{StatusCode: 500}) == 0 || again(4, nil, &http.Response{StatusCode: 500}) != 0 {
		t.Error("one request that was too many is sent again, or others are not, or for ever")
	}
}

// selfSigned returns a certificate for a name.
func selfSigned(t *testing.T, name string, from, to time.Time) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotBefore: from, NotAfter: to}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	text, err := encode(&tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key})
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(text, text)
	if err != nil {
		t.Fatal(err)
	}
	return &pair
}

// A app of the set gets its own certificate or none, and other hosts what there was before.
func TestOver(t *testing.T) {
	var log bytes.Buffer
	s, now := open(t, t.TempDir(), &log), time.Now()
	if err := s.files.keep(app+pairFile, selfSigned(t, app, now, now.Add(90*24*time.Hour))); err != nil {
		t.Fatal(err)
	}
	if err := s.files.keep("other.example.com"+pairFile, selfSigned(t, app, now, now.Add(time.Hour))); err != nil {
		t.Fatal(err)
	}
	s.SetHosts([]string{app, "none.example.com", "other.example.com"})
	file := selfSigned(t, "file.example.com", now, now.Add(time.Hour))
	files := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2"}, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return file, nil }}
	for _, c := range []struct {
		base            *tls.Config
		name, want, alp string
	}{
		{nil, app, app, "h2"}, {nil, "APP.example.com", app, "h2"}, {nil, "none.example.com", "", "h2"}, {nil, "other.example.com", "", "h2"},
		{nil, "file.example.com", "", "h2"}, {nil, "", "", "h2"}, {nil, app, "", acme.ALPNProto},
		{files, app, app, "h2"}, {files, "none.example.com", "", "h2"}, {files, "file.example.com", "file.example.com", "h2"}, {files, "", "file.example.com", "h2"},
	} {
		here, there := net.Pipe()
		server := tls.Server(here, s.Over(c.base))
		ended := make(chan error, 1)
		go func() { ended <- errors.Join(server.HandshakeContext(t.Context()), here.Close()) }()
		client := tls.Client(there, &tls.Config{ServerName: c.name, InsecureSkipVerify: true, NextProtos: []string{c.alp}})
		err := client.HandshakeContext(t.Context())
		_ = there.Close()
		got := ""
		if seen := client.ConnectionState().PeerCertificates; err == nil {
			got = seen[0].DNSNames[0]
		}
		if <-ended; got != c.want {
			t.Errorf("%q gets %q, %v, want %q", c.name, got, err, c.want)
		}
	}
	if !strings.Contains(log.String(), "not read") {
		t.Errorf("a certificate for another name is not logged: %s", &log)
	}
	for _, is := range s.Status() {
		if left := time.Until(is.Next); is.Host == app && (left < 59*24*time.Hour || left > 63*24*time.Hour) || is.Host != app && left > 0 {
			t.Errorf("%+v, want that a certificate for 90 days is replaced after 60, and that the others are asked for now", is)
		}
	}
}

// Others must not be able to read the keys, or to change them.
func TestFolderIsPrivate(t *testing.T) {
	for _, c := range []struct {
		mode os.FileMode
		name string
	}{{0o777, ""}, {0o644, "account.key"}, {0o604, app + pairFile}} {
		var log bytes.Buffer
		dir := t.TempDir()
		s := open(t, dir, &log)
		path := filepath.Join(string(s.files), c.name)
		if c.name != "" {
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chmod(path, c.mode); err != nil {
			t.Fatal(err)
		}
		_, err := Open(s.opts)
		if bad, is := errors.AsType[*private.Error](err); !is || filepath.Clean(bad.Path) != filepath.Clean(path) {
			t.Errorf("%v %s: %v", c.mode, c.name, err)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Directory: LetsEncrypt, Folder: file}); err == nil {
		t.Error("a file is taken for a folder")
	}
}

// A token is part of the name of a file. It comes from a CA, and from everybody who asks at port 80.
func TestTokens(t *testing.T) {
	var log bytes.Buffer
	s := open(t, t.TempDir(), &log)
	for _, token := range []string{"", "..", "../x", "a/b", "a.b", "a b", "ä", "a\x00"} {
		if name, err := s.files.respond(token, "x"); err == nil {
			t.Errorf("%q is the file %q", token, name)
		}
		if _, err := s.files.response(token); err == nil {
			t.Errorf("%q is answered", token)
		}
	}
	if _, err := s.files.respond("aZ0-_", "x"); err != nil {
		t.Error(err)
	}
	if got, err := s.files.response("aZ0-_"); err != nil || string(got) != "x" {
		t.Errorf("%q, %v", got, err)
	}
}

package main

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/internal/testsvc"
)

// refused opens the stores of c and returns the error that the program would print.
func refused(t *testing.T, c *settings) string {
	t.Helper()
	c.Data = t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, err := c.openNamed(ctx, c.Sessions, sessionsName)
	if err == nil {
		_ = s.Close()
		t.Errorf("%s was opened", c.Sessions)
		return ""
	}
	return openError("sessions", c.Sessions, err).Error()
}

// silent listens, and does with each connection what serve says.
func silent(t *testing.T, serve func(net.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serve(c)
		}
	}()
	return l.Addr().String()
}

// Each way in which a store cannot be reached says what to do about it.
func TestStoreHints(t *testing.T) {
	t.Parallel()
	nobody, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(web.Close)
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	tlsPort, plainPort := web.Listener.Addr().String(), plain.Listener.Addr().String()
	mute := silent(t, func(c net.Conn) { t.Cleanup(func() { _ = c.Close() }) })
	hangsUp := silent(t, func(c net.Conn) { _ = c.Close() })

	pg := testsvc.StartPostgres(t, testsvc.Fast)
	pg.Exec(t, "postgres", `CREATE ROLE guest LOGIN PASSWORD 'sesame'; CREATE ROLE tlsonly LOGIN; CREATE ROLE stranger LOGIN`)
	hba := filepath.Join(pg.Dir(), "pg_hba.conf")
	rules, err := os.ReadFile(hba)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(hba, append([]byte("host all guest all scram-sha-256\nhostssl all tlsonly all trust\nhost all tlsonly all reject\n"), rules...), 0o600); err != nil {
		t.Fatal(err)
	}
	pg.Stop()
	pg.Restart(t)
	asRole := func(role, options string) string {
		return "postgres://" + role + "@" + pg.Addr() + "/postgres" + options
	}

	locked := testsvc.StartRedis(t)
	if _, err := locked.Do("CONFIG", "SET", "requirepass", "sesame"); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		sessions, password, hint string
	}{
		"postgres, nothing listens":      {"postgres://node@" + nobody + "/x", "", "no program listens there"},
		"postgres, no socket":            {"postgres:///x?host=" + t.TempDir(), "", "no server has its socket there"},
		"postgres, no answer":            {"postgres://node@" + mute + "/x?connect_timeout=1&sslmode=disable", "", "nothing answers in time"},
		"postgres, hung up":              {"postgres://node@" + hangsUp + "/x?sslmode=disable", "", "the server hung up"},
		"postgres without TLS":           {asRole("cf", "?sslmode=require"), "", "the server has no TLS there: turn ssl on"},
		"postgres, no such database":     {"postgres://cf@" + pg.Addr() + "/nodb?sslmode=disable", "", "CREATE DATABASE"},
		"postgres, wrong password":       {asRole("guest", "?sslmode=disable"), "", "the password comes from PGPASSWORD"},
		"postgres, no such role":         {asRole("nobody", "?sslmode=disable"), "", "has no role of that name"},
		"postgres, no right":             {asRole("stranger", "?sslmode=disable"), "", "migrate as its owner"},
		"postgres, only with TLS":        {asRole("tlsonly", "?sslmode=disable"), "", "pg_hba.conf"},
		"redis, nothing listens":         {"redis://" + nobody, "", "no program listens there"},
		"redis, hung up":                 {"redis://" + hangsUp, "", "use rediss://"},
		"redis, TLS of a stranger":       {"rediss://" + tlsPort, "", "add ca=FILE"},
		"redis, TLS where there is none": {"rediss://" + plainPort, "", "the server has no TLS there"},
		"no redis":                       {"redis://" + plainPort, "", "is no Redis"},
		"redis wants a password":         {"redis://" + locked.Addr(), "", "the server wants a password"},
		"redis, wrong password":          {"redis://" + locked.Addr(), "wrong", "the user in the URL and the password do not fit"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := refused(t, &settings{Sessions: c.sessions, SessionsPass: secret.New(c.password)})
			first, hint, _ := strings.Cut(text, "\nhint: ")
			if !strings.Contains(hint, c.hint) || strings.Contains(first, "\n") || strings.Contains(hint, "\n") {
				t.Errorf("%s\nwant the hint %q, on the second line of two", text, c.hint)
			}
		})
	}
}

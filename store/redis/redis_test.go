package redis_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	neturl "net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/internal/testsvc"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/redis"
	"github.com/counterfoil/counterfoil/store/storetest"
	"github.com/counterfoil/counterfoil/store/storetest/linear"
)

func TestMain(m *testing.M) { testsvc.Main(m) }

func open(t testing.TB, o redis.Options) *redis.Store {
	t.Helper()
	s, err := redis.Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestContract(t *testing.T) {
	r := testsvc.StartRedis(t)
	storetest.Run(t, func(t *testing.T) store.Store {
		if _, err := r.Do("FLUSHALL"); err != nil {
			t.Fatal(err)
		}
		return open(t, redis.Options{URL: "redis://" + r.Addr()})
	})
}

// socket returns a path that is short enough for a Unix socket.
func socket(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "redis")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "s ä")
}

func TestContractByUnixSocket(t *testing.T) {
	path := socket(t)
	r := testsvc.StartRedis(t, "--unixsocket", path, "--requirepass", "")
	if _, err := r.Do("ACL", "SETUSER", "me", "on", ">secret", "allcommands", "allkeys", "allchannels"); err != nil {
		t.Fatal(err)
	}
	at := (&neturl.URL{Scheme: "redis+unix", User: neturl.User("me"), Path: path, RawQuery: "db=3"}).String()
	storetest.Run(t, func(t *testing.T) store.Store {
		if _, err := r.Do("FLUSHALL"); err != nil {
			t.Fatal(err)
		}
		return open(t, redis.Options{URL: at, Password: "secret"})
	})
	if keys, err := r.Do("INFO", "keyspace"); err != nil || !strings.Contains(keys, "db3:") || strings.Contains(keys, "db0:") {
		t.Errorf("INFO keyspace = %q, %v, want keys in database 3 alone", keys, err)
	}
	if e, err := redis.Examine(t.Context(), redis.Options{URL: at, Password: "secret"}); err != nil || e.Engine == "Redis" {
		t.Errorf("Examine = %+v, %v", e, err)
	}
}

// A socket leads to one process. A node of a Cluster has a part of the keys only, and may be
// replaced by another.
func TestUnixSocketOfACluster(t *testing.T) {
	path := socket(t)
	testsvc.StartCluster(t, 3, 0, "--unixsocket", path)
	for n := range 4 { // keys of several slots, here and elsewhere
		_, err := redis.Open(t.Context(), redis.Options{URL: (&neturl.URL{Scheme: "unix", Path: path}).String(), Prefix: fmt.Sprint("p", n)})
		if err == nil || !strings.Contains(err.Error(), "name the nodes by host and port") {
			t.Errorf("Open = %v", err)
		}
	}
}

func TestURL(t *testing.T) {
	for text, want := range map[string]redis.Place{
		"redis://a": {Hosts: []string{"a:6379"}},
		"rediss://me@a:1,[::1]:2/3?prefix=x&wait=2":     {Hosts: []string{"a:1", "[::1]:2"}, TLS: true, User: "me", DB: 3, Prefix: "x", Wait: 2},
		"redis-sentinel://a,b/main/1?sentinel_auth=yes": {Hosts: []string{"a:26379", "b:26379"}, Name: "main", DB: 1},
		"unix:///run/redis/redis.sock":                  {Socket: "/run/redis/redis.sock"},
		"redis+unix:///run/r%20s?db=2&prefix=x&wait=1":  {Socket: "/run/r s", DB: 2, Prefix: "x", Wait: 1},
		"unix://m%40e@/run/s":                           {Socket: "/run/s", User: "m@e"},
	} {
		got, err := redis.ParseURL(text)
		if err != nil || fmt.Sprint(got.Hosts, got.Socket, got.Name, got.TLS, got.User, got.DB, got.Prefix, got.Wait) !=
			fmt.Sprint(want.Hosts, want.Socket, want.Name, want.TLS, want.User, want.DB, want.Prefix, want.Wait) {
			t.Errorf("ParseURL(%s) = %+v, %v, want %+v", text, got, err, want)
		}
		if !redis.IsURL(text) {
			t.Errorf("IsURL(%s) = false", text)
		}
	}
	for _, text := range []string{
		"redis://", "redis://a?db=1", "redis://a?sentinel_auth=no", "unix://", "unix:///", "unix://run/s", "unix:/run/s", "rediss+unix:///s", "unix:///s?ca=x",
		"unix:///s?sentinel_auth=yes", "unix:///s?db=x", "unix:///s?db=", "unix:///%zz", "/run/s", "http://a",
	} {
		if got, err := redis.ParseURL(text); !errors.Is(err, redis.ErrURL) {
			t.Errorf("ParseURL(%s) = %+v, %v", text, got, err)
		}
	}
	if p, err := redis.ParseURL("unix://me:secret@/s"); err != nil || !p.HasPassword() {
		t.Errorf("a password in the URL of a socket: %+v, %v", p, err)
	}
}

// The file of a CA may begin with a byte order mark.
func TestCAWithMark(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, append([]byte("\ufeff"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := redis.Open(t.Context(), redis.Options{URL: "rediss://127.0.0.1:1?ca=" + path}); err == nil || strings.Contains(err.Error(), "has no certificate") {
		t.Errorf("Open = %v, want that nobody listens there", err)
	}
}

func TestIsLinearizable(t *testing.T) {
	linear.Run(t, func(t *testing.T) store.Store {
		return open(t, redis.Options{URL: "redis://" + testsvc.StartRedis(t).Addr()})
	})
}

func TestContractInCluster(t *testing.T) {
	c := testsvc.StartCluster(t, 3, 0)
	storetest.Run(t, func(t *testing.T) store.Store {
		for _, n := range c.Nodes {
			if _, err := n.Do("FLUSHALL"); err != nil {
				t.Fatal(err)
			}
		}
		return open(t, redis.Options{URL: "redis://" + c.Nodes[0].Addr() + "," + c.Nodes[1].Addr()})
	})
}

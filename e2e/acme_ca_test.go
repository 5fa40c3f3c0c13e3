package e2e_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/testsvc"
)

// ca is a real CA that speaks ACME: Pebble, which its authors made for tests. Each of its names leads to 127.0.0.1.
type ca struct {
	directory string
	trust     string         // file with the certificate of its own server
	roots     *x509.CertPool // of what it issues
	log       *output
	names     string // where its DNS is told what to say
}

// pebble builds the programs of Pebble, once.
var pebble = sync.OnceValues(func() (dir string, err error) {
	dir = filepath.Join(filepath.Dir(binary), "pebble")
	const at = "github.com/letsencrypt/pebble/v2/cmd/"
	if out, err := exec.Command("go", "build", "-o", dir+"/", at+"pebble", at+"pebble-challtestsrv").CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return dir, nil
})

// startCA starts one that gives certificates for that time, and looks for hosts at these addresses.
func startCA(t *testing.T, valid time.Duration, https, http string) *ca {
	t.Helper()
	programs, err := pebble()
	if err != nil {
		t.Fatal(err)
	}
	dir, at, manage, names := t.TempDir(), testsvc.FreeAddress(t), testsvc.FreeAddress(t), testsvc.FreeAddress(t)
	writeCertificate(t, dir)
	c := &ca{directory: "https://" + at + "/dir", trust: filepath.Join(dir, "cert.pem"), log: &output{}, names: "http://" + testsvc.FreeAddress(t)}
	resolver := exec.Command(filepath.Join(programs, "pebble-challtestsrv"), "-dnsserver", names, "-management", strings.TrimPrefix(c.names, "http://"),
		"-defaultIPv4", "127.0.0.1", "-defaultIPv6", "", "-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", "")
	testsvc.Listen(t, resolver, names)
	settings, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": at, "managementListenAddress": manage, "certificate": c.trust, "privateKey": filepath.Join(dir, "key.pem"),
		"httpPort": portOf(t, http), "tlsPort": portOf(t, https), "keyAlgorithm": "ecdsa",
		"profiles":   map[string]any{"default": map[string]any{"description": "all", "validityPeriod": int(valid.Seconds())}},
		"retryAfter": map[string]int{"authz": 1, "order": 1},
	}})
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "config.json")
	if err := os.WriteFile(config, settings, 0o600); err != nil {
		t.Fatal(err)
	}
	server := exec.Command(filepath.Join(programs, "pebble"), "-config", config, "-dnsserver", names, "-strict")
	server.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1")
	server.Stdout, server.Stderr = c.log, c.log
	testsvc.Listen(t, server, at)
	c.log.await(t, "Listening on: ", 1)
	c.root(t, "https://"+manage+"/roots/0")
	return c
}

func portOf(t *testing.T, address string) int {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// root fetches the certificate to which all others lead. The CA makes a new one at each start.
func (c *ca) root(t *testing.T, url string) {
	t.Helper()
	own, err := os.ReadFile(c.trust)
	if err != nil {
		t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(own)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted}}}
	defer client.CloseIdleConnections()
	res, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	root, err := io.ReadAll(res.Body)
	if c.roots = x509.NewCertPool(); err != nil || !c.roots.AppendCertsFromPEM(root) {
		t.Fatalf("no root: %v, %s", err, root)
	}
}

// lead has a name lead to an address.
func (c *ca) lead(t *testing.T, name, to string) {
	t.Helper()
	res, err := http.Post(c.names+"/add-a", "application/json", strings.NewReader(fmt.Sprintf(`{"host":"%s.","addresses":[%q]}`, name, to)))
	if err != nil {
		t.Fatal(err)
	}
	if _ = res.Body.Close(); res.StatusCode != http.StatusOK {
		t.Fatal(res.Status)
	}
}

// asked is how often it was asked for an account and for a certificate.
func (c *ca) asked() (accounts, orders int) {
	said := c.log.String()
	return strings.Count(said, " accounts in memory"), strings.Count(said, " orders in the db")
}

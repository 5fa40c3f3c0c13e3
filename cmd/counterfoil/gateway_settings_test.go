package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/counterfoil/counterfoil/counterfoiltest"
	"github.com/counterfoil/counterfoil/gateway"
	"github.com/counterfoil/counterfoil/internal/config"
	"github.com/counterfoil/counterfoil/internal/ops"
)

// A wrong setting of the gateway stops its start before it asks the auth server anything.
func TestGatewaySettings(t *testing.T) {
	for text, want := range map[string]string{
		"": "trusted_proxies is not set",
		"proxy_listen: :8089\next_authz_listen: :8086":                      "ext_authz_listen is set, and trusted_proxies is not",
		"issuer: https://Auth.example.com":                                  "write https://auth.example.com",
		"sign_in: https://auth.example.com/x/":                              "sign_in is",
		"sign_in: auth.example.com":                                         "sign_in is",
		"acme: letsencrypt":                                                 "acme is set, and proxy_listen is not",
		"acme: letsencrypt\nproxy_listen: :443":                             "acme_accept_terms is not set",
		"acme: on":                                                          "acme is on: want letsencrypt",
		"acme: http://ca.example.com/dir":                                   "want letsencrypt, letsencrypt-staging, the https URL",
		"acme_email: Me <me@example.com>\nacme: https://ca.example.com/dir": "acme_email is not an address",
		"redirect_listen: :80\nproxy_listen: :443":                          "redirect_listen is set, and nothing is served over https",
	} {
		var c gatewaySettings
		where, err := c.loader().Load(config.Sources{File: file(t, "c.yaml", text)})
		if err == nil {
			err = c.check(where).Err()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// KEY-10: the gateway connects to addresses of a network of containers by name, and never to all.
func TestGatewayAddresses(t *testing.T) {
	const good = "issuer: https://auth.example.com\ntrusted_proxies: 127.0.0.1/32\n"
	for text, want := range map[string]string{
		"": "[]", "allow_addresses: 169.254.1.2": "[169.254.1.2/32]", "allow_addresses: [169.254.1.2, 10.0.2.0/24]": "[169.254.1.2/32 10.0.2.0/24]",
		"allow_addresses: 0.0.0.0/0": "want the network of the issuer", "allow_addresses: host": "want a network such as",
	} {
		var c gatewaySettings
		where, err := c.loader().Load(config.Sources{File: file(t, "c.yaml", good+text), Environ: []string{envPrefix + "API_KEY=key\r\n"}})
		if err == nil {
			err = c.check(where).Err()
		}
		if got := fmt.Sprint(ops.Networks(c.Allow)); err == nil && got != want || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %s, %v, want %s", text, got, err, want)
		}
	}
}

// A server that answers proxies says which of its settings let in more than an operator may want.
func TestProxySettings(t *testing.T) {
	routes := file(t, "routes.yaml", "routes: [{origin: 'https://app.example.com', prefix: /}]")
	bff := file(t, "bff.yaml", "routes: [{origin: 'https://app.example.com', prefix: /, upstreams: ['http://127.0.0.1:8090'], bff: orders}]")
	for text, want := range map[string]string{
		"":                             "gateway_proxies is not set",
		"gateway_routes: " + bff:       "gateway_routes names " + bff + ": route https://app.example.com/ has bff, and no request is passed on",
		"gateway_proxies: 0.0.0.0/0":   "gateway_proxies has 0.0.0.0/0: everybody may ask",
		"gateway_listen: 0.0.0.0:8085": "gateway_listen is plain http on a network",
		"gateway_listen: other:8085":   "gateway_listen is \"other:8085\"",
		"gateway_proxies: proxy":       "gateway_proxies has \"proxy\": want a network",
		"gateway_routes: none.yaml":    "gateway_routes names ",
		"gateway_routes: ''":           "",
	} {
		c := settings{}
		all := map[string]string{"gateway_routes": routes, "gateway_proxies": "127.0.0.1", "gateway_listen": "127.0.0.1:8085"}
		if name, value, set := strings.Cut(text, ": "); set {
			all[name] = value
		} else {
			delete(all, "gateway_proxies")
		}
		yaml := ""
		for name, value := range all {
			yaml += name + ": " + value + "\n"
		}
		where, err := c.load(config.Sources{File: file(t, "c.yaml", yaml)})
		if err != nil {
			t.Fatal(err)
		}
		v, said := c.check(where), ""
		for _, p := range append(v.Problems, v.Warnings...) {
			said += p.Key + " " + p.Problem + "\n"
		}
		if !strings.Contains(said, want) || want == "" && strings.Contains(said, "gateway") {
			t.Errorf("%q: %s, want %s", text, said, want)
		}
	}
}

// A server and a gateway run on one machine as they are: no two of their listeners have the same port.
// The help says so, and the server's own help has not changed.
func TestDefaultPorts(t *testing.T) {
	var serve settings
	var beside gatewaySettings
	for _, loader := range []*config.Settings{serve.loader(), beside.loader()} {
		if _, err := loader.Load(config.Sources{}); err != nil {
			t.Fatal(err)
		}
	}
	want := [4]string{"127.0.0.1:8080", "127.0.0.1:9464", "127.0.0.1:8085", "127.0.0.1:9465"}
	if got := [4]string{serve.Listen, serve.OpsListen, beside.Listen, beside.OpsListen}; got != want {
		t.Errorf("%v, want %v", got, want)
	}
	parser, err := kong.New(new(program), kong.PostBuild(ownDefaults))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, c := range parser.Model.Leaves(false) {
		for _, f := range c.Flags {
			at := map[string]string{"serve listen": want[0], "serve ops-listen": want[1], "gateway run listen": want[2], "gateway run ops-listen": want[3]}[strings.TrimPrefix(c.Path(), "counterfoil ")+" "+f.Name]
			if at != "" && f.Default != at {
				t.Errorf("the help of %s says that --%s is %s, want %s", c.Path(), f.Name, f.Default, at)
			} else if at != "" {
				found++
			}
		}
	}
	if found != 4 {
		t.Errorf("the help has %d of the flags, want 4", found)
	}
}

// A file of routes that is wrong leaves those that there are.
func TestRoutesAgain(t *testing.T) {
	const app = "https://app.example.com"
	routes := file(t, "routes.yaml", "routes: [{origin: '"+app+"', prefix: /, anonymous: true}]")
	all, err := readRoutes(routes, false)
	if err != nil {
		t.Fatal(err)
	}
	g, err := gateway.New(gateway.Options{Verifier: counterfoiltest.New(t).Verifier(), Routes: all, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}})
	if err != nil {
		t.Fatal(err)
	}
	ask := func() int {
		r := httptest.NewRequest("GET", "/auth-request", nil)
		r.Header = http.Header{"X-Original-Method": {"GET"}, "X-Original-Url": {app + "/"}}
		w := httptest.NewRecorder()
		g.Handler().ServeHTTP(w, r) // from 192.0.2.1
		return w.Code
	}
	var text strings.Builder
	log := slog.New(slog.NewTextHandler(&text, nil))
	for _, c := range []struct {
		file, said string
		want       int
	}{
		{"routes: [{origin: 'app.example.com', prefix: /}]", "the routes stay as they were", 200},
		{"routes: [{origin: '" + app + "', prefix: /, stale: serve_stale 20s}]", "the routes stay as they were", 200}, // the verifier must allow it from the start
		{"routes: [{origin: '" + app + "', prefix: /, upstreams: ['http://127.0.0.1:8090'], bff: orders}]", "has bff, and no request is passed on", 200},
		{"routes: [{origin: '" + app + "', prefix: /}]", "msg=routes", 401},
	} {
		if err := os.WriteFile(routes, []byte(c.file), 0o600); err != nil {
			t.Fatal(err)
		}
		text.Reset()
		routesAgain(g, routes, false, log)
		if got := ask(); got != c.want || !strings.Contains(text.String(), c.said) {
			t.Errorf("%s: %d, want %d\n%s", c.file, got, c.want, &text)
		}
	}
}

// A file of routes with which a gateway would refuse everything, or all that a route is for, stops the start, and
// gateway check says so before: with the settings that the gateway will have.
func TestRoutesThatPassNothing(t *testing.T) {
	const origin = "{origin: 'https://app.example.com', prefix: /"
	asked := file(t, "asked.yaml", "routes: ["+origin+"}]")
	proxied := file(t, "proxied.yaml", "routes: ["+origin+", upstreams: ['http://127.0.0.1:8090']}, {origin: 'https://other.example.com', prefix: /}]")
	bff := file(t, "bff.yaml", "routes: ["+origin+", upstreams: ['http://127.0.0.1:8090'], bff: orders}]")
	configured := file(t, "gateway.yaml", "proxy_listen: 127.0.0.1:8089")
	const noUpstreams, noProxy = "no route has upstreams", "route https://app.example.com/ has bff, and no request is passed on"
	for _, c := range []struct {
		check gatewayCheck
		want  string
	}{
		{gatewayCheck{File: asked}, ""},
		{gatewayCheck{File: proxied}, ""}, // another gateway may have the same file
		{gatewayCheck{File: bff}, noProxy},
		{gatewayCheck{File: asked, Proxy: "127.0.0.1:8089"}, noUpstreams},
		{gatewayCheck{File: asked, ConfigFile: configured}, noUpstreams},
		{gatewayCheck{File: proxied, Proxy: "127.0.0.1:8089"}, ""},
		{gatewayCheck{File: bff, ConfigFile: configured}, ""},
		{gatewayCheck{File: bff, ConfigFile: configured, Proxy: "off"}, noProxy},
	} {
		err := c.check.Run()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("check %+v: %v, want %q", c.check, err, c.want)
		}
	}
	for path, proxy := range map[string]string{asked: "127.0.0.1:0", bff: "off"} {
		run := gatewayRun{ConfigFile: file(t, "c.yaml", fmt.Sprintf("{issuer: 'https://auth.example.com', trusted_proxies: 127.0.0.1, routes: %s, proxy_listen: %s}", path, proxy))}
		t.Setenv(envPrefix+"API_KEY", "key")
		if err := run.Run(t.Context(), nil); err == nil || !strings.Contains(err.Error(), noUpstreams) && !strings.Contains(err.Error(), noProxy) {
			t.Errorf("a gateway with %s and proxy_listen %s starts: %v", path, proxy, err)
		}
	}
}

// A CA is asked for the hosts of https that have an upstream, if it can know them, and if no file has their certificate.
func TestCertifiedHosts(t *testing.T) {
	routes, err := readRoutes(file(t, "routes.yaml", `routes:
  - {origin: 'https://b.example.com', prefix: /, upstreams: ['http://127.0.0.1:1']}
  - {origin: 'https://a.example.com:8443', prefix: /x, upstreams: ['http://127.0.0.1:1']}
  - {origin: 'https://a.example.com', prefix: /, upstreams: ['http://127.0.0.1:1']}
  - {origin: 'https://asked.example.com', prefix: /}
  - {origin: 'http://127.0.0.1:8089', prefix: /, upstreams: ['http://127.0.0.1:1']}
  - {origin: 'https://127.0.0.1', prefix: /, upstreams: ['http://127.0.0.1:1']}
  - {origin: 'https://[::1]', prefix: /, upstreams: ['http://127.0.0.1:1']}
  - {origin: 'https://localhost', prefix: /, upstreams: ['http://127.0.0.1:1']}
`), true)
	if err != nil {
		t.Fatal(err)
	}
	var log, said strings.Builder
	c := gatewaySettings{Proxy: ":443", Routes: filepath.Join(t.TempDir(), "routes.yaml"), acmeSettings: acmeSettings{ACME: "off", Redirect: "off"}}
	c.sayCertificates(&said, routes)
	c.ACME = "letsencrypt"
	c.TLSCert, c.TLSKey = certificateFor(t, "a.example.com", "localhost")
	c.sayCertificates(&said, routes)
	if want := `with acme a CA would be asked for certificates of: a.example.com b.example.com
https://acme-v02.api.letsencrypt.org/directory is asked for certificates of: b.example.com
without a certificate: 127.0.0.1 ::1 (a CA is asked for names with a dot alone: set tls_cert)
`; said.String() != want {
		t.Errorf("gateway check says\n%swant\n%s", &said, want)
	}
	set, err := c.certificates(routes, slog.New(slog.NewTextHandler(&log, nil)), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	if s := set.Status(); len(s) != 1 || s[0].Host != "b.example.com" || !strings.Contains(log.String(), `hosts="127.0.0.1 ::1"`) {
		t.Errorf("%+v\n%s", s, &log)
	}
}

// certificateFor writes a certificate and its key.
func certificateFor(t *testing.T, names ...string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: names, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return file(t, "cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))),
		file(t, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})))
}

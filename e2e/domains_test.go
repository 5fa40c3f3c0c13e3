package e2e_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/gateway"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/store/memory"
)

const domainsIssuer = "https://auth.example.test"

// domains is an auth server, a gateway in front of two sites, an API and the pages of apps, each at a
// host of its own, with TLS.
type domains struct {
	t         *testing.T
	auth      *server.Embedded
	extension map[string]string // by name: its origin
	made      atomic.Uint32
	chromium  []chromedp.ExecAllocatorOption
}

func newDomains(t *testing.T) *domains {
	d := &domains{t: t, extension: map[string]string{}}
	folders := []string{d.makeExtension("permitted", `,"host_permissions":["https://*.example.test/*"]`), d.makeExtension("other", "")}

	var err error
	d.auth, err = server.Open(t.Context(), server.Config{Store: memory.New(), URL: domainsIssuer, InsecureHashes: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.auth.Close() })
	if err := d.auth.Issuer().Clients().Set(t.Context(), rights.Owner(), clients.Default, audit.Act{}, func(c *clients.Client) {
		c.Origins = d.origins()
	}); err != nil {
		t.Fatal(err)
	}

	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, `<!doctype html><html lang="en"><link rel="icon" href="data:,"><title>app</title>`)
	})
	service := httptest.NewServer(page)
	t.Cleanup(service.Close)
	verified := d.auth.Verifier().Require(page)
	var sites http.Handler
	front := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, _ := strings.Cut(r.Host, ":")
		n := d.made.Add(1) // each request is of another subscriber, so that the limits on guessing do not slow the test
		r.RemoteAddr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), 1).String()
		switch {
		case host == "app.example.test" || host == "app.other.test":
			sites.ServeHTTP(w, r)
		case host == "cookies.example.test":
			echoCookies(w, r)
		case r.URL.Path == "/app":
			page(w, r)
		case r.URL.Path == "/me":
			verified.ServeHTTP(w, r)
		default: // the gateway comes to it by an address
			r.Host = strings.TrimPrefix(domainsIssuer, "https://")
			d.auth.ServeHTTP(w, r)
		}
	})
	secure, plain := httptest.NewUnstartedServer(front), httptest.NewServer(front)
	certificate, pin := d.certificate()
	secure.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // a browser opens connections that it does not use
	secure.StartTLS()
	t.Cleanup(secure.Close)
	t.Cleanup(plain.Close)
	address := secure.Listener.Addr().String()
	d.chromium = []chromedp.ExecAllocatorOption{
		chromedp.UserDataDir(d.profile()),
		chromedp.Flag("host-resolver-rules", "MAP *:443 "+address+", MAP *:8443 "+address+", MAP *:80 "+plain.Listener.Addr().String()),
		chromedp.Flag("ignore-certificate-errors-spki-list", pin),
		chromedp.Flag("disable-extensions", false),
		chromedp.Flag("load-extension", strings.Join(folders, ",")),
	}

	_, key, err := d.auth.Users().NewKey(t.Context(), rights.Owner(), audit.Act{}, directory.APIKey{Client: "gateway", Scopes: []string{directory.ScopeHandover}, Clients: []string{clients.Default}})
	if err != nil {
		t.Fatal(err)
	}
	handover, err := gateway.RemoteHandover(plain.URL, key.Reveal(), nil)
	if err != nil {
		t.Fatal(err)
	}
	handover.Page = domainsIssuer + "/handover"
	var routes []gateway.Route
	for _, o := range []string{"https://app.example.test", "https://app.other.test"} {
		routes = append(routes, gateway.Route{Origin: o, Prefix: "/", Upstreams: []string{service.URL}}, gateway.Route{Origin: o, Path: "/app", Anonymous: true, Upstreams: []string{service.URL}})
	}
	g, err := gateway.New(gateway.Options{
		Verifier: d.auth.Verifier(), Routes: routes, SignIn: domainsIssuer + "/login", Handover: handover,
		Peer: func(*http.Request) netip.Addr { return netip.Addr{} },
	})
	if err != nil {
		t.Fatal(err)
	}
	sites = g.Proxy()
	return d
}

// origins are those that the client lists.
func (d *domains) origins() []string {
	list := []string{
		"https://auth.example.test:8443", "https://app.example.test", "https://app.other.test", "https://localhost", "http://tauri.localhost", "https://tauri.localhost",
		"capacitor://localhost", "ionic://localhost", "tauri://localhost",
	}
	for _, origin := range d.extension {
		list = append(list, origin)
	}
	return list
}

// person returns a user who has not signed in yet: the limits on guessing count by user.
func (d *domains) person() string {
	name := fmt.Sprint("person-", d.made.Add(1))
	if err := d.auth.AddUser(d.t.Context(), name, ownPassword); err != nil {
		d.t.Fatal(err)
	}
	return name
}

// makeExtension returns the folder of a browser extension, whose id comes from its key.
func (d *domains) makeExtension(name, more string) string {
	dir := filepath.Join(d.t.TempDir(), name)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		d.t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		d.t.Fatal(err)
	}
	id, hash := "", sha256.Sum256(public)
	for _, b := range hash[:16] {
		id += string(rune('a'+b>>4)) + string(rune('a'+b&15))
	}
	d.extension[name] = "chrome-extension://" + id
	if err := os.Mkdir(dir, 0o700); err != nil {
		d.t.Fatal(err)
	}
	for file, text := range map[string]string{
		"manifest.json": `{"manifest_version":3,"name":"` + name + `","version":"1","key":"` + base64.StdEncoding.EncodeToString(public) + `"` + more + `}`,
		"app.html":      "<!doctype html><title>app</title>",
	} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			d.t.Fatal(err)
		}
	}
	return dir
}

// profile is a folder in which Chromium finds that third-party cookies are allowed: that of Debian blocks
// them, others do not.
func (d *domains) profile() string {
	dir := d.t.TempDir()
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "Default"), 0o700),
		os.WriteFile(filepath.Join(dir, "Default", "Preferences"), []byte(`{"profile":{"cookie_controls_mode":0}}`), 0o600)); err != nil {
		d.t.Fatal(err)
	}
	return dir
}

// certificate is one for all hosts of the test, and what makes Chromium accept it and no other.
func (d *domains) certificate() (tls.Certificate, string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		d.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"*.example.test", "*.other.test", "localhost", "tauri.localhost"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		d.t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		d.t.Fatal(err)
	}
	pin := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, base64.StdEncoding.EncodeToString(pin[:])
}

// echoCookies sets cookies of each kind, and tells a page which came back.
func echoCookies(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
	w.Header().Set("Access-Control-Allow-Credentials", "true")
	if r.URL.Path == "/set" {
		for _, kind := range []string{"Strict", "Lax", "None", "None; Partitioned"} {
			name := strings.ToLower(kind[strings.LastIndex(kind, " ")+1:])
			w.Header().Add("Set-Cookie", name+"=1; Path=/; Secure; SameSite="+kind)
		}
		return
	}
	var names []string
	for _, c := range r.Cookies() {
		names = append(names, c.Name)
	}
	_ = json.NewEncoder(w).Encode(names)
}

// domainsScript signs in with a carrier, asks who it is, refreshes, asks a service on the page's own
// host, and signs out.
const domainsScript = `(async (auth, identifier, password, carrier) => {
	const json = { "Content-Type": "application/json" };
	const send = async (method, url, headers, body) => {
		const res = await fetch(url, { method, headers, body: body && JSON.stringify(body), credentials: "include" });
		return { status: res.status, text: await res.text() };
	};
	const login = await send("POST", auth + "/v1/login", json, { identifier, password, carrier });
	if (login.status === 400) return { issuer: JSON.parse(login.text).detail };
	const got = JSON.parse(login.text);
	const held = got.access_token ? { Authorization: "Bearer " + got.access_token } : {};
	const seen = [login.status, (await send("GET", auth + "/v1/session", held)).status];
	if (carrier !== "cookie") seen.push((await send("POST", auth + "/v1/refresh", json, { refresh_token: got.refresh_token })).status);
	const service = location.protocol.startsWith("http") ? (await send("GET", "/me", held)).status : "";
	seen.push((await send("POST", auth + "/v1/logout", held)).status);
	return { issuer: seen.join(" "), service };
})`

// What docs/domains.md says of each place of an app's pages and each carrier is what Chromium does there, with
// third-party cookies allowed and blocked.
func TestDomains(t *testing.T) {
	t.Parallel()
	d := newDomains(t)
	text, err := os.ReadFile("../docs/domains.md")
	if err != nil {
		t.Fatal(err)
	}
	b := newBrowser(t, looks[0], d.chromium...)
	places := []struct{ shown, page string }{
		{"`https://auth.example.test`", domainsIssuer + "/app"},
		{"`https://auth.example.test:8443`", domainsIssuer + ":8443/app"},
		{"`https://app.example.test`", "https://app.example.test/app"},
		{"`https://app.other.test`", "https://app.other.test/app"},
		{"`https://localhost`", "https://localhost/app"},
		{"`http://tauri.localhost`", "http://tauri.localhost/app"},
		{"`https://tauri.localhost`", "https://tauri.localhost/app"},
		{"`chrome-extension://…` with `host_permissions`", d.extension["permitted"] + "/app.html"},
		{"`chrome-extension://…` without", d.extension["other"] + "/app.html"},
	}
	kept, carried := map[string]string{}, map[string]string{}
	for _, blocked := range []bool{false, true} {
		if blocked {
			if _, err := chromedp.Call(b.ctx, network.SetCookieControls, network.SetCookieControlsParams{EnableThirdPartyCookieRestriction: true}); err != nil {
				t.Fatal(err)
			}
		}
		for _, place := range places {
			b.do(chromedp.Navigate(place.page))
			b.until(`document.title === "app"`)
			kept[place.page] += b.kept() + " | "
			for _, carrier := range []string{"cookie", "jwt-cookie", "bearer", "jwe"} {
				column := place.page + map[bool]string{true: " cookies", false: " tokens"}[strings.HasSuffix(carrier, "cookie")]
				got := b.carries(d.person(), carrier)
				if carried[column] != "" && carried[column] != got {
					t.Errorf("%s, %s, third-party cookies blocked: %t: %s, and %s for another carrier or without", place.page, carrier, blocked, got, carried[column])
				}
				carried[column] = got
			}
		}
	}
	for _, place := range places {
		row := "| " + place.shown + " | " + kept[place.page] + carried[place.page+" cookies"] + " | " + carried[place.page+" tokens"] + " | " + b.reloads(place.page, d.person()) + " |"
		if !strings.Contains(string(text), "\n"+row+"\n") {
			t.Errorf("docs/domains.md lacks the row\n%s", row)
		}
	}

	// A page of each site behind the gateway gets a cookie of its own there, also with third-party cookies blocked.
	b.do(chromedp.Navigate("https://app.other.test/notes"))
	b.until(`location.pathname === "/login" && document.querySelector("#identifier")`)
	b.do(chromedp.SendKeys(chromedp.CSS("#identifier"), d.person()), chromedp.SendKeys(chromedp.CSS("#password"), ownPassword+"\r"))
	b.until(`location.href === "https://app.other.test/notes"`)
	b.do(chromedp.Navigate("https://app.example.test/notes")) // nothing is typed again
	b.until(`location.href === "https://app.example.test/notes"`)
	for _, page := range []string{"https://app.other.test/app", "https://app.example.test/app"} {
		b.do(chromedp.Navigate(page))
		b.until(`document.title === "app"`)
		if status, err := chromedp.Run(b.ctx, chromedp.Evaluate[int](`fetch("/me").then((res) => res.status)`, chromedp.EvalAwaitPromise)); err != nil || status != 200 {
			t.Errorf("%s with the cookie of its host: %d, %v", page, status, err)
		}
	}
}

// kept tells which cookies of a host of the issuer's site come back to a page of this one.
func (b *browser) kept() string {
	b.t.Helper()
	names, err := chromedp.Run(b.ctx, chromedp.Evaluate[[]string](`(async () => {
		await fetch("https://cookies.example.test/set", { credentials: "include" });
		return (await fetch("https://cookies.example.test/", { credentials: "include" })).json();
	})()`, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatal(err)
	}
	if len(names) == 4 {
		return "all"
	}
	return strings.Join(names, ", ")
}

// reloads tells whether a person whom the browser client has signed in with bearer is still signed in after a reload.
func (b *browser) reloads(page, identifier string) string {
	b.t.Helper()
	if strings.HasPrefix(page, "chrome-extension:") { // it may import nothing from elsewhere
		return "-"
	}
	const script = `(async (issuer, proof) => {
		const { createClient } = await import(issuer + "/client.js");
		const client = createClient({ issuer, carrier: "bearer" });
		if (proof.identifier) await client.signIn(proof);
		const session = await client.session({ fresh: true });
		client.close();
		return session ? "signed in" : "signed out";
	})`
	says := func(identifier string) string {
		b.do(chromedp.Navigate(page))
		b.until(`document.title === "app"`)
		got, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](fmt.Sprintf("%s(%q, { identifier: %q, password: %q })", script, domainsIssuer, identifier, ownPassword), chromedp.EvalAwaitPromise))
		if err != nil {
			b.t.Fatalf("%s: %v", page, err)
		}
		return got
	}
	if got := says(identifier); got != "signed in" {
		b.t.Errorf("%s: %s after a sign-in by the browser client", page, got)
	}
	return says("")
}

// carries tells what comes of a carrier on a page, as docs/domains.md writes it.
func (b *browser) carries(identifier, carrier string) string {
	b.t.Helper()
	got, err := chromedp.Run(b.ctx, chromedp.Evaluate[map[string]any](fmt.Sprintf("%s(%q, %q, %q, %q)", domainsScript, domainsIssuer, identifier, ownPassword, carrier), chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%s: %v", carrier, err)
	}
	says := fmt.Sprint(got["issuer"])
	switch {
	case strings.HasSuffix(says, "use carrier bearer"):
		return "refused"
	case says != "200 200 204" && says != "200 200 200 204":
		b.t.Errorf("%s: %s", carrier, says)
	case got["service"] == "": // an extension has no host
		return "works"
	case fmt.Sprint(got["service"]) == "200":
		return "works, at the service too"
	case fmt.Sprint(got["service"]) != "401":
		b.t.Errorf("%s: the service answers %v", carrier, got["service"])
	}
	return "works"
}

// Pages of web views have origins that Chromium has no pages of. A client may list them, and exactly
// those are told what was answered.
func TestOriginsOfApps(t *testing.T) {
	t.Parallel()
	d := newDomains(t)
	for origin, listed := range map[string]bool{
		"capacitor://localhost": true, "ionic://localhost": true, "tauri://localhost": true, "http://tauri.localhost": true, "https://tauri.localhost": true, "https://localhost": true,
		"capacitor://other": false, "http://localhost": false, "https://other.localhost": false, "file://": false, "null": false,
	} {
		send := func(carrier string) *httptest.ResponseRecorder {
			r := httptest.NewRequest("POST", domainsIssuer+"/v1/login", strings.NewReader(fmt.Sprintf(`{"identifier":%q,"password":%q,"carrier":%q}`, d.person(), ownPassword, carrier)))
			r.Header = http.Header{"Content-Type": {"application/json"}, "Origin": {origin}, "Sec-Fetch-Site": {"cross-site"}}
			w := httptest.NewRecorder()
			d.auth.ServeHTTP(w, r)
			return w
		}
		allow, cookie, bearer := "", http.StatusForbidden, http.StatusForbidden
		if listed {
			allow, cookie, bearer = origin, http.StatusBadRequest, http.StatusOK
		}
		if w := send("cookie"); w.Code != cookie || w.Header().Get("Access-Control-Allow-Origin") != allow || w.Header().Get("Set-Cookie") != "" {
			t.Errorf("%s: cookie = %d %v", origin, w.Code, w.Header())
		}
		if w := send("bearer"); w.Code != bearer || w.Header().Get("Access-Control-Allow-Origin") != allow {
			t.Errorf("%s: bearer = %d %v %s", origin, w.Code, w.Header(), w.Body)
		}
	}
}

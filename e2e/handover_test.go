package e2e_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/gateway"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/source"
)

// handOver follows a person who is signed in at the auth server to another host behind the proxy,
// and out again. The client that they sign in to lists that host.
func (f *front) handOver(auth, subject, cookie string) {
	t := f.t
	here := f.other()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	at, err := url.Parse(auth)
	if err != nil {
		t.Fatal(err)
	}
	jar.SetCookies(at, []*http.Cookie{{Name: source.InsecureCookieName, Value: cookie, Path: "/"}})
	var way []string
	person := &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		if way = append(way, r.URL.Scheme+"://"+r.URL.Host+r.URL.Path); len(via) > 10 {
			return fmt.Errorf("to and fro: %s", way)
		}
		return nil
	}}
	send := func(method, target string, header ...string) (*http.Response, string) {
		t.Helper()
		way = nil
		r, err := http.NewRequest(method, target, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = http.Header{"Accept": {"text/html"}, "Sec-Fetch-Mode": {"navigate"}, "X-Forwarded-Host": {"evil.example"}, "X-Forwarded-Proto": {"https"}}
		for n := 0; n < len(header); n += 2 {
			r.Header.Set(header[n], header[n+1])
		}
		res, err := person.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res, string(body)
	}
	res, body := send("GET", here+"/page?a=b&c=%2F")
	want := []string{here + "/.counterfoil/begin", auth + "/login", auth + "/handover", here + "/.counterfoil/callback", here + "/page"}
	if res.StatusCode != 200 || !strings.Contains(body, "Counterfoil-Subject: "+subject+"\r\n") || !strings.HasSuffix(body, "GET /page?a=b&c=%2F\n") || fmt.Sprint(way) != fmt.Sprint(want) {
		t.Fatalf("a person at another host = %d %s\n%s", res.StatusCode, way, body)
	}
	if res, body = send("GET", here+"/page"); res.StatusCode != 200 || way != nil {
		t.Errorf("once more = %d %s\n%s", res.StatusCode, way, body)
	}
	reached := f.reached.Load()
	if res, _ := send("GET", here+"/.counterfoil/callback?code=x&state=x.Lw"); res.StatusCode != 200 { // it leads who is in to the page
		t.Errorf("a callback with a made-up code, by somebody who is in = %d", res.StatusCode)
	}
	if f.reached.Load() != reached+1 {
		t.Error("the service got what is the gateway's")
	}
	if res, body := send("POST", here+"/.counterfoil/sign-out", "Origin", "http://evil.example", "Sec-Fetch-Site", "cross-site"); res.StatusCode != 403 {
		t.Errorf("another site signs out = %d %s", res.StatusCode, body)
	}
	if res, body := send("POST", here+"/.counterfoil/sign-out", "Origin", here, "Sec-Fetch-Site", "same-origin"); res.StatusCode != 200 || !strings.Contains(body, "You are signed out") ||
		res.Header.Get("Cache-Control") != "no-store" || res.Header.Get("Content-Security-Policy") == "" {
		t.Errorf("sign out = %d %v\n%s", res.StatusCode, res.Header, body)
	}
	if _, _ = send("GET", here+"/page"); len(way) < 2 || way[len(way)-1] != auth+"/login" {
		t.Errorf("signed out, and sent to %s", way)
	}
}

// GW-22, GW-23: a person signs in once in a browser, is let in at two hosts, and is out at both when
// the session ends. The gateway is the proxy itself.
func TestHandoverInABrowser(t *testing.T) {
	t.Parallel()
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, `<!doctype html><html lang="en"><link rel="icon" href="data:,"><title>%s</title><p id="who">%s<form method="post" action="/.counterfoil/sign-out"><button>Sign out</button></form>`,
			r.URL.Path, r.Header.Get("Remote-User"))
	}))
	t.Cleanup(service.Close)
	auth, own, _ := embedded(t)
	if err := auth.AddUser(t.Context(), "alice", ownPassword); err != nil {
		t.Fatal(err)
	}
	// 127.0.0.1 is the auth server's host; these two are others, to which its cookies do not go.
	var proxy http.Handler
	origin := func(host string) string {
		listener, err := net.Listen("tcp", host+":0")
		if err != nil {
			t.Fatal(err)
		}
		web := &httptest.Server{Listener: listener, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { proxy.ServeHTTP(w, r) })}}
		web.Start()
		t.Cleanup(web.Close)
		return web.URL
	}
	one, two := origin("127.0.0.2"), origin("127.0.0.3")
	if err := auth.Issuer().Clients().Set(t.Context(), rights.Owner(), clients.Default, audit.Act{}, func(c *clients.Client) { c.Origins = []string{one, two} }); err != nil {
		t.Fatal(err)
	}
	_, key, err := auth.Users().NewKey(t.Context(), rights.Owner(), audit.Act{}, directory.APIKey{Client: "gateway", Scopes: []string{directory.ScopeHandover}, Clients: []string{clients.Default}})
	if err != nil {
		t.Fatal(err)
	}
	handover, err := gateway.RemoteHandover(own, key.Reveal(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var routes []gateway.Route
	for _, o := range []string{one, two} {
		routes = append(routes, gateway.Route{Origin: o, Prefix: "/", Upstreams: []string{service.URL}, Identity: gateway.IdentityRemote})
	}
	g, err := gateway.New(gateway.Options{
		Verifier: auth.Verifier(), Routes: routes, SignIn: own + "/login", Handover: handover,
		Peer: func(*http.Request) netip.Addr { return netip.Addr{} },
	})
	if err != nil {
		t.Fatal(err)
	}
	proxy = g.Proxy()

	b := newBrowser(t, looks[0])
	b.do(chromedp.Navigate(one + "/notes?page=2"))
	b.until(`location.pathname === "/login" && document.querySelector("#identifier")`)
	b.do(chromedp.SendKeys(chromedp.CSS("#identifier"), "alice"), chromedp.SendKeys(chromedp.CSS("#password"), ownPassword+"\r"))
	b.until(`location.href === "` + one + `/notes?page=2" && document.querySelector("#who").textContent.startsWith("usr_")`)
	b.do(chromedp.Navigate(two + "/")) // nothing is typed again
	b.until(`location.href === "` + two + `/" && document.querySelector("#who").textContent.startsWith("usr_")`)
	b.do(chromedp.Navigate(one + "/more"))
	b.until(`location.href === "` + one + `/more"`)

	// Revoked, and both hosts ask to sign in.
	alice, err := auth.Users().ByIdentifier(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	receipt, err := auth.Issuer().Revoke(t.Context(), source.ScopeSubject, alice.ID, audit.Act{})
	if err == nil {
		err = auth.Verifier().WaitFor(t.Context(), receipt.At)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []string{one, two} {
		b.do(chromedp.Navigate(o + "/"))
		b.until(`location.pathname === "/login" && document.querySelector("#identifier")`)
	}
	b.do(chromedp.SendKeys(chromedp.CSS("#identifier"), "alice"), chromedp.SendKeys(chromedp.CSS("#password"), ownPassword+"\r"))
	b.until(`location.href === "` + two + `/" && document.querySelector("#who")`)
	b.do(chromedp.Navigate(one + "/"))
	b.until(`location.href === "` + one + `/" && document.querySelector("#who")`)

	// Signed out at one, and out at the other.
	b.do(chromedp.Click(chromedp.CSS("button")))
	b.until(`document.title === "You are signed out"`)
	b.do(chromedp.Navigate(two + "/"))
	b.until(`location.pathname === "/login" && document.querySelector("#identifier")`)
}

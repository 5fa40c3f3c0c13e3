package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/internal/urls"
)

// expiresSoon is when a certificate should have been renewed.
const expiresSoon = 14 * 24 * time.Hour

// certificate looks at the files of tls_cert and tls_key.
func (d *doctor) certificate() {
	if d.TLSCert == "" {
		return
	}
	pair, err := tls.LoadX509KeyPair(d.TLSCert, d.TLSKey)
	if err != nil {
		d.add("tls", isFail, err.Error(), "")
		return
	}
	var chain []*x509.Certificate
	for _, der := range pair.Certificate {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			d.add("tls", isFail, err.Error(), "")
			return
		}
		chain = append(chain, c)
	}
	host := ""
	if u, err := urls.Issuer(d.Issuer); err == nil {
		host = u.Hostname()
	}
	d.judgeChain(d.TLSCert, chain, host)
}

// judgeChain looks at the certificates that clients get, the server's own first.
func (d *doctor) judgeChain(where string, chain []*x509.Certificate, host string) {
	own := chain[0]
	left := own.NotAfter.Sub(d.now())
	until := own.NotAfter.UTC().Format(time.DateOnly)
	switch {
	case left < 0:
		d.add("tls", isFail, where+": the certificate expired on "+until, "renew it; the server reads the files again within a minute")
	case d.now().Before(own.NotBefore):
		d.add("tls", isFail, where+": the certificate is not valid yet", "look at this machine's clock")
	case left < expiresSoon && own.NotAfter.Sub(own.NotBefore) > 2*expiresSoon:
		d.add("tls", isWarn, where+": the certificate expires on "+until, "renew it: is what renews it still running?")
	default:
		d.ok("tls", "%s: the certificate is good until %s", where, until)
	}
	if host != "" && own.VerifyHostname(host) != nil {
		d.add("tls", isFail, fmt.Sprintf("%s: the certificate is not for %s", where, host), "get one for the host of the issuer")
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := own.Verify(x509.VerifyOptions{Intermediates: between, CurrentTime: d.now()})
	var unknown x509.UnknownAuthorityError
	switch {
	case err == nil:
		d.ok("tls", "%s: the chain leads to a CA that this machine trusts", where)
	case errors.As(err, &unknown) && own.Issuer.String() == own.Subject.String():
		d.add("tls", isWarn, where+": the certificate is self-signed", "clients that were not told refuse it")
	case errors.As(err, &unknown):
		d.add("tls", isWarn, where+": the chain leads to no CA that this machine trusts", "serve the intermediate certificates too; with a CA of your own this is as it should be")
	}
}

// proxies: whether the addresses that limits count are those of clients.
func (d *doctor) proxies() {
	behind := strings.HasPrefix(d.Issuer, "https:") && d.TLSCert == ""
	trusted := d.Trusted()
	switch {
	case !behind && len(trusted) == 0:
		d.ok("proxies", "none is trusted: every address is that of the connection")
	case behind && len(trusted) == 0:
		d.add("proxies", isFail, "the issuer is https and the server serves http, so a proxy is in front, and trusted_proxies is empty: all clients count as one", "name the network of the proxy in trusted_proxies")
	case behind && urls.Loopback(d.Listen) && !trusted.Contain(netip.MustParseAddr("127.0.0.1")) && !trusted.Contain(netip.IPv6Loopback()):
		d.add("proxies", isFail, "the server listens on loopback, where the proxy must be, and trusted_proxies does not name it", "add 127.0.0.1 to trusted_proxies")
	default:
		d.ok("proxies", "%s may say whom they forward", strings.Join(d.TrustedProxies, ", "))
	}
}

// cookies: what the issuer's URL makes of them.
func (d *doctor) cookies() {
	u, err := urls.Issuer(d.Issuer)
	if err != nil {
		d.add("cookies", isWarn, "no issuer is set: cookies are those of development", "set the https URL that browsers use")
		return
	}
	if u.Scheme == "http" {
		d.add("cookies", isWarn, "the issuer is http: cookies are neither Secure nor prefixed", "for development on this machine only")
		return
	}
	d.ok("cookies", "__Host-, Secure, HttpOnly and SameSite, for %s alone", u.Hostname())
}

// server asks the server that runs, where its clients do.
func (d *doctor) server(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	base, err := urls.Issuer(d.url)
	if wrong, refused := errors.AsType[*urls.Error](err); refused {
		d.add("server", isFail, fmt.Sprintf("%q %s", wrong.Text, wrong.Problem), wrong.Hint)
		return
	}
	if base.Scheme == "https" {
		d.dial(ctx, base)
	}
	client := &http.Client{
		// What is wrong with the certificate was told by dial, and hides the rest.
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, // nothing secret is sent
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	defer client.CloseIdleConnections()
	begun := d.now()
	ready, _, err := askPlain(ctx, client, d.url+"/readyz")
	if err != nil {
		d.gone("server", err, "does it run, and does the name lead to it?")
		return
	}
	if ready.StatusCode != http.StatusOK {
		d.add("server", isFail, fmt.Sprintf("%s/readyz answers %s", d.url, ready.Status), "503: it cannot reach its store, or is about to stop; 404: something else answers there")
		return
	}
	d.ok("server", "%s is ready", d.url)
	if date, err := http.ParseTime(ready.Header.Get("Date")); err == nil { // in whole seconds
		d.skew("server", "its", date.Add(500*time.Millisecond).Sub(begun), 500*time.Millisecond+d.now().Sub(begun))
	}
	d.named(ctx, client)
	d.passed(ctx, client, base)
}

func askPlain(ctx context.Context, client *http.Client, url string) (*http.Response, []byte, error) {
	r, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		return nil, nil, err
	}
	res, err := client.Do(r)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	return res, body, err
}

// named holds the name that the server has against where it was found.
func (d *doctor) named(ctx context.Context, client *http.Client) {
	_, body, err := askPlain(ctx, client, d.url+"/.well-known/oauth-authorization-server")
	var metadata struct{ Issuer string }
	if err != nil || json.Unmarshal(body, &metadata) != nil {
		d.add("server", isFail, d.url+"/.well-known/oauth-authorization-server is no answer of ours", "a proxy sends this path elsewhere")
		return
	}
	switch {
	case d.Issuer != "" && metadata.Issuer != d.Issuer:
		d.add("server", isFail, fmt.Sprintf("it calls itself %s, and the configuration here says %s", metadata.Issuer, d.Issuer), "restart it, or look at the configuration that it has")
	case metadata.Issuer != d.url:
		d.add("server", isWarn, fmt.Sprintf("it calls itself %s, and was asked at %s", metadata.Issuer, d.url), "clients must use the issuer's name: cookies and tokens are for that")
	default:
		d.ok("server", "it calls itself as it is called")
	}
}

// passed looks whether what the server says arrives as it said it.
func (d *doctor) passed(ctx context.Context, client *http.Client, base *url.URL) {
	res, _, err := askPlain(ctx, client, d.url+"/v1/session")
	if err != nil {
		d.gone("proxies", err, "")
		return
	}
	switch media := res.Header.Get("Content-Type"); {
	case res.StatusCode != http.StatusUnauthorized || !strings.HasPrefix(media, "application/problem+json"):
		d.add("proxies", isFail, fmt.Sprintf("a request without credentials is answered %s, %s: something between replaces the server's answers", res.Status, media), "pass error answers through: proxy_intercept_errors off")
	case res.Header.Get("Cache-Control") != "no-store":
		d.add("proxies", isFail, "Cache-Control of the answer is "+res.Header.Get("Cache-Control")+", not no-store: something between changes it", "let nothing cache or rewrite what the server answers")
	default:
		d.ok("proxies", "what the server answers arrives as it is")
	}
	page, _, err := askPlain(ctx, client, d.url+"/login")
	if err == nil && base.Scheme == "https" && page.Header.Get("Strict-Transport-Security") == "" {
		d.add("tls", isWarn, "no Strict-Transport-Security: the first visit may be by http", "have the proxy add it, once every host of the domain has TLS")
	}
	if err == nil && page.Header.Get("Content-Security-Policy") == "" {
		d.add("proxies", isFail, "the sign-in page comes without its Content-Security-Policy", "let the proxy pass the server's headers")
	}
}

// dial looks at the TLS that clients get.
func (d *doctor) dial(ctx context.Context, base *url.URL) {
	address := urls.Address(base)
	state, err := handshake(ctx, address, &tls.Config{ServerName: base.Hostname(), InsecureSkipVerify: true}) // judged below
	if err != nil {
		d.gone("tls", err, "")
		return
	}
	d.judgeChain(base.Host, state.PeerCertificates, base.Hostname())
	if old, err := handshake(ctx, address, &tls.Config{ // to find out whether it is refused
		ServerName: base.Hostname(), InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11,
	}); err == nil {
		d.add("tls", isFail, base.Host+" speaks "+tls.VersionName(old.Version), "allow TLS 1.2 and later alone")
		return
	}
	d.ok("tls", "%s speaks %s, and nothing below 1.2", base.Host, tls.VersionName(state.Version))
}

func handshake(ctx context.Context, address string, c *tls.Config) (tls.ConnectionState, error) {
	conn, err := (&tls.Dialer{Config: c}).DialContext(ctx, "tcp", address)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer conn.Close()
	return conn.(*tls.Conn).ConnectionState(), nil
}

// clock asks the kernel whether something keeps its clock right.
func (d *doctor) clock() {
	known, synchronised := clockSynchronised()
	switch {
	case !known:
		d.add("clock", isWarn, "nobody here can say whether it is right", "make sure that something synchronises it")
	case !synchronised:
		d.add("clock", isWarn, "nothing synchronises it, says the kernel", "run chrony or systemd-timesyncd; in a container, on the host")
	default:
		d.ok("clock", "synchronised, says the kernel")
	}
	if d.now().Year() < 2025 {
		d.add("clock", isFail, "it says "+d.now().Format(time.DateOnly), "set it")
	}
}

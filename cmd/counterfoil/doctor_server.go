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

	"github.com/counterfoil/counterfoil/internal/ops"
	"github.com/counterfoil/counterfoil/internal/request"
	"github.com/counterfoil/counterfoil/internal/urls"
)

// expiresSoon is how long before its expiry a certificate should be renewed.
const expiresSoon = 14 * 24 * time.Hour

// certificate checks the files that tls_cert and tls_key name.
func (d *doctor) certificate() {
	if d.TLSCert == "" {
		return
	}
	pair, err := ops.LoadKeyPair(d.TLSCert, d.TLSKey)
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

// judgeChain checks the certificates that clients get. The first is the server's own.
func (d *doctor) judgeChain(where string, chain []*x509.Certificate, host string) {
	own := chain[0]
	left := own.NotAfter.Sub(d.now())
	until := own.NotAfter.UTC().Format(time.DateOnly)
	switch {
	case left < 0:
		d.add("tls", isFail, where+": the certificate expired on "+until, "renew it; the server reads the files again within a minute")
	case d.now().Before(own.NotBefore):
		d.add("tls", isFail, where+": the certificate is not valid yet", "check the clock of this machine")
	case left < expiresSoon && own.NotAfter.Sub(own.NotBefore) > 2*expiresSoon:
		d.add("tls", isWarn, where+": the certificate expires on "+until, "renew it, and check the program that should have")
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
		d.add("tls", isWarn, where+": the certificate is self-signed", "clients refuse it until they are told to trust it")
	case errors.As(err, &unknown):
		d.add("tls", isWarn, where+": the chain leads to no CA that this machine trusts", "serve the intermediate certificates too; with a CA of your own this is expected")
	}
}

// proxies checks that the server sees the addresses of clients, which it limits, and not of proxies.
func (d *doctor) proxies() {
	behind := strings.HasPrefix(d.Issuer, "https:") && d.TLSCert == ""
	trusted := d.Trusted()
	switch {
	case !behind && len(trusted) == 0:
		d.ok("proxies", "no proxy is trusted: the server takes the address of each connection")
	case behind && len(trusted) == 0:
		d.add("proxies", isFail, "the issuer is https and the server serves http, so a proxy is in front; trusted_proxies is empty, so all clients have the address of the proxy", "name the network of the proxy in trusted_proxies")
	case behind && urls.Loopback(d.Listen) && !trusted.Contain(netip.MustParseAddr("127.0.0.1")) && !trusted.Contain(netip.IPv6Loopback()):
		d.add("proxies", isFail, "the server listens on loopback, so the proxy must be there, and trusted_proxies does not have 127.0.0.1", "add 127.0.0.1 to trusted_proxies")
	default:
		d.ok("proxies", "%s may name the clients that they forward", strings.Join(d.TrustedProxies, ", "))
	}
}

// cookies says which protection the issuer's URL gives them.
func (d *doctor) cookies() {
	u, err := urls.Issuer(d.Issuer)
	if err != nil {
		d.add("cookies", isWarn, "no issuer is set: cookies have the names for development", "set the https URL that browsers use")
		return
	}
	if u.Scheme == "http" {
		d.add("cookies", isWarn, "the issuer is http: cookies are neither Secure nor prefixed", "for development on this machine only")
		return
	}
	if u.Path != "" {
		d.ok("cookies", "__Host-, Secure, HttpOnly and SameSite, for every path of %s: each program there gets them, so trust them all", u.Hostname())
		return
	}
	d.ok("cookies", "__Host-, Secure, HttpOnly and SameSite, for %s only", u.Hostname())
}

// server checks the running server at the URL that its clients use.
func (d *doctor) server(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	base, err := issuerURL(d.url)
	if wrong, refused := errors.AsType[*urls.Error](err); refused {
		d.add("server", isFail, fmt.Sprintf("%q %s", wrong.Text, wrong.Problem), wrong.Hint)
		return
	}
	if base.Scheme == "https" {
		d.dial(ctx, base)
	}
	client := &http.Client{
		// dial has checked the certificate; a bad one must not hide other findings.
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, // nothing secret is sent
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	defer client.CloseIdleConnections()
	begun := d.now()
	ready, answer, err := askPlain(ctx, client, d.url+"/readyz")
	if err != nil {
		d.unreachable("server", err, "check that it runs, and that the name resolves to it")
		return
	}
	if ready.StatusCode != http.StatusOK {
		var why struct{ Detail string }
		if _ = json.Unmarshal(answer, &why); why.Detail != "" {
			d.add("server", isFail, fmt.Sprintf("%s/readyz answers %s: %s", d.url, ready.Status, why.Detail), "")
			return
		}
		d.add("server", isFail, fmt.Sprintf("%s/readyz answers %s", d.url, ready.Status), "503: it cannot reach its store, or it is stopping; 404: another program answers there")
		return
	}
	d.ok("server", "%s is ready", d.url)
	if date, err := http.ParseTime(ready.Header.Get("Date")); err == nil { // in whole seconds
		d.skew("server", "its", date.Add(500*time.Millisecond).Sub(begun), 500*time.Millisecond+d.now().Sub(begun))
	}
	d.checkName(ctx, client)
	d.checkPlace(ctx, client, base)
	d.checkAnswers(ctx, client, base)
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

// checkName compares the issuer that the server names with the URL and the configuration.
func (d *doctor) checkName(ctx context.Context, client *http.Client) {
	_, body, err := askPlain(ctx, client, d.url+"/.well-known/oauth-authorization-server")
	var metadata struct{ Issuer string }
	if err != nil || json.Unmarshal(body, &metadata) != nil {
		d.add("server", isFail, d.url+"/.well-known/oauth-authorization-server is not answered by the server", "check where the proxy sends this path")
		return
	}
	switch {
	case d.Issuer != "" && metadata.Issuer != d.Issuer:
		d.add("server", isFail, fmt.Sprintf("the server names the issuer %s, and the configuration here %s", metadata.Issuer, d.Issuer), "restart it, or check which configuration it reads")
	case metadata.Issuer != d.url:
		d.add("server", isWarn, fmt.Sprintf("the server names the issuer %s, and was reached at %s", metadata.Issuer, d.url), "clients must use the URL of the issuer: cookies and tokens are for that URL")
	default:
		d.ok("server", "its issuer is the URL that it was reached at")
	}
}

// checkPlace looks for the metadata of a server below a path where RFC 8414 section 3.1 has them: in
// front of the path, which the proxy must send to the server as well.
func (d *doctor) checkPlace(ctx context.Context, client *http.Client, base *url.URL) {
	if base.Path == "" {
		return
	}
	place := urls.OriginOf(base) + "/.well-known/oauth-authorization-server" + base.Path
	_, body, err := askPlain(ctx, client, place)
	var metadata struct{ Issuer string }
	if err != nil || json.Unmarshal(body, &metadata) != nil || metadata.Issuer == "" {
		d.add("server", isWarn, place+" is not answered by the server: OAuth clients in other languages look there", "have the proxy send this path to the server, as it is")
		return
	}
	d.ok("server", "OAuth clients find its metadata at %s", place)
}

// checkAnswers checks that no proxy changes the answers of the server.
func (d *doctor) checkAnswers(ctx context.Context, client *http.Client, base *url.URL) {
	res, _, err := askPlain(ctx, client, d.url+"/v1/session")
	if err != nil {
		d.unreachable("proxies", err, "")
		return
	}
	switch media := res.Header.Get("Content-Type"); {
	case res.StatusCode != http.StatusUnauthorized || !strings.HasPrefix(media, "application/problem+json"):
		d.add("proxies", isFail, fmt.Sprintf("a request without credentials is answered %s, %s: a proxy replaces the answers of the server", res.Status, media), "pass error answers through: proxy_intercept_errors off")
	case res.Header.Get("Cache-Control") != "no-store":
		d.add("proxies", isFail, "Cache-Control of the answer is "+res.Header.Get("Cache-Control")+", not no-store: a proxy changes it", "let no proxy cache or rewrite the answers of the server")
	default:
		d.ok("proxies", "the answers of the server arrive unchanged")
	}
	page, _, err := askPlain(ctx, client, d.url+"/login")
	if err == nil && base.Scheme == "https" && page.Header.Get("Strict-Transport-Security") == "" {
		d.add("tls", isWarn, "no Strict-Transport-Security: a browser may make its first visit by http", "have the proxy add it, once every host of the domain has TLS")
	}
	if err == nil && page.Header.Get("Content-Security-Policy") == "" {
		d.add("proxies", isFail, "the sign-in page comes without its Content-Security-Policy", "let the proxy pass the headers of the server")
	}
	if err == nil && page.Header.Get("Referrer-Policy") != request.FormReferrerPolicy {
		d.add("proxies", isWarn, "the sign-in page comes without its Referrer-Policy: older browsers then send its form without an origin, and the server refuses it", "let the proxy pass the headers of the server")
	}
}

// dial checks the TLS that clients get.
func (d *doctor) dial(ctx context.Context, base *url.URL) {
	address := urls.Address(base)
	state, err := handshake(ctx, address, &tls.Config{ServerName: base.Hostname(), InsecureSkipVerify: true}) // judged below
	if err != nil {
		d.unreachable("tls", err, "")
		return
	}
	d.judgeChain(base.Host, state.PeerCertificates, base.Hostname())
	if old, err := handshake(ctx, address, &tls.Config{ // it should fail
		ServerName: base.Hostname(), InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11,
	}); err == nil {
		d.add("tls", isFail, base.Host+" speaks "+tls.VersionName(old.Version), "allow TLS 1.2 and later only")
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

// clock asks the kernel whether a program synchronises its clock.
func (d *doctor) clock() {
	known, synchronised := clockSynchronised()
	switch {
	case !known:
		d.add("clock", isWarn, "this system does not tell whether a program synchronises it", "run a time service")
	case !synchronised:
		d.add("clock", isWarn, "the kernel says that no program synchronises it", "run chrony or systemd-timesyncd; in a container, on the host")
	default:
		d.ok("clock", "the kernel says that it is synchronised")
	}
	if d.now().Year() < 2025 {
		d.add("clock", isFail, "it says "+d.now().Format(time.DateOnly), "set it")
	}
}

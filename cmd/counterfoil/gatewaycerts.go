package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/counterfoil/counterfoil/gateway"
	"github.com/counterfoil/counterfoil/internal/config"
	"github.com/counterfoil/counterfoil/internal/hostcert"
	"github.com/counterfoil/counterfoil/internal/mailaddress"
	"github.com/counterfoil/counterfoil/internal/ops"
	"github.com/counterfoil/counterfoil/internal/private"
)

// acmeSettings are those of the certificates that a CA gives the listener of the proxy.
type acmeSettings struct {
	ACME     string `name:"acme" default:"off" placeholder:"CA" help:"Get certificates for --proxy-listen by ACME: from letsencrypt, from letsencrypt-staging (for trying), from the CA with this URL of a directory, or off." want:"CA or off"`
	Terms    bool   `name:"acme-accept-terms" help:"You accept the terms of service of that CA."`
	Email    string `name:"acme-email" placeholder:"ADDRESS" help:"Where that CA writes to. Empty: nowhere."`
	Folder   string `name:"acme-folder" type:"path" placeholder:"DIR" help:"Folder of the keys and certificates; made if it is missing. Empty: acme in the folder of the routes."`
	Redirect string `name:"redirect-listen" default:"off" placeholder:"ADDR" help:"Address, mostly :80, at which pages asked for by http are redirected to https, and that CA may look too; or off." want:"address or off"`
}

// directories are the CAs that have a name here.
var directories = map[string]string{
	"letsencrypt":         hostcert.LetsEncrypt,
	"letsencrypt-staging": "https://acme-staging-v02.api.letsencrypt.org/directory",
}

func checkCA(text string) error {
	at, err := url.Parse(text)
	if text != "off" && directories[text] == "" && (err != nil || at.Scheme != "https" || at.Host == "" || at.User != nil) {
		return errors.New("is " + text + ": want letsencrypt, letsencrypt-staging, the https URL of a directory (RFC 8555), or off")
	}
	return nil
}

func (c *gatewaySettings) checkACME(v *config.Verdict) {
	if c.Redirect != "off" && (!c.passes() || c.ACME == "off" && c.TLSCert == "") {
		v.Refuse("redirect_listen", "is set, and nothing is served over https", "set proxy_listen, and acme or tls_cert")
	}
	if c.ACME == "off" {
		return
	}
	if !c.passes() {
		v.Refuse("acme", "is set, and proxy_listen is not", "certificates are for proxy_listen: set it, mostly to :443")
	}
	if !c.Terms {
		v.Refuse("acme_accept_terms", "is not set", "read the terms of service of the CA, and accept them with --acme-accept-terms")
	}
	if _, err := mailaddress.ASCII(c.Email); c.Email != "" && err != nil {
		v.Refuse("acme_email", "is not an address such as admin@example.com", "")
	}
}

// certificates are those that a CA gives, or nil.
func (c *gatewaySettings) certificates(routes []gateway.Route, log *slog.Logger, registry prometheus.Registerer) (*hostcert.Set, error) {
	if c.ACME == "off" {
		return nil, nil
	}
	folder := cmp.Or(c.Folder, filepath.Join(filepath.Dir(c.Routes), "acme"))
	set, err := hostcert.Open(hostcert.Options{
		Directory: c.directory(), Email: c.Email, Folder: folder, HTTP: c.Redirect != "off", Logger: log,
	})
	if bad, is := errors.AsType[*private.Error](err); is {
		return nil, config.Invalid{{Where: bad.Path, Problem: bad.Problem, Hint: bad.Hint}}
	} else if err != nil {
		return nil, config.Invalid{{Where: folder, Problem: "cannot keep certificates: " + err.Error(), Hint: "set acme_folder to a folder that the gateway may write to"}}
	}
	registry.MustRegister(certificateFigures{set})
	c.certify(set, routes, log)
	return set, nil
}

// certify has set get the certificates that the routes need.
func (c *gatewaySettings) certify(set *hostcert.Set, routes []gateway.Route, log *slog.Logger) {
	asked, never := c.certifiable(routes)
	if len(never) > 0 {
		log.Warn("hosts without a certificate: a CA is asked for names with a dot alone", "hosts", strings.Join(never, " "))
	}
	set.SetHosts(asked)
}

// certifiable returns the hosts for which a CA is asked, and those that no public CA knows. It leaves out the hosts of the
// certificate that the settings name.
func (c *gatewaySettings) certifiable(routes []gateway.Route) (asked, never []string) {
	var file tls.Certificate
	if c.TLSCert != "" {
		file, _ = ops.LoadKeyPair(c.TLSCert, c.TLSKey) // the start fails if it cannot be read
	}
	for _, h := range gateway.Hosts(routes) {
		_, address := netip.ParseAddr(h)
		switch {
		case file.Leaf != nil && file.Leaf.VerifyHostname(h) == nil:
		case address == nil, !strings.Contains(h, "."):
			never = append(never, h)
		default:
			asked = append(asked, h)
		}
	}
	return asked, never
}

// sayCertificates tells an operator what a CA will be asked for.
func (c *gatewaySettings) sayCertificates(w io.Writer, routes []gateway.Route) {
	asked, never := c.certifiable(routes)
	if len(asked) > 0 && c.ACME == "off" {
		fmt.Fprintln(w, "with acme a CA would be asked for certificates of:", strings.Join(asked, " "))
	} else if len(asked) > 0 {
		fmt.Fprintln(w, c.directory(), "is asked for certificates of:", strings.Join(asked, " "))
	}
	if len(never) > 0 && c.ACME != "off" {
		fmt.Fprintln(w, "without a certificate:", strings.Join(never, " "), "(a CA is asked for names with a dot alone: set tls_cert)")
	}
}

// directory is the URL of the CA.
func (c *gatewaySettings) directory() string { return cmp.Or(directories[c.ACME], c.ACME) }

// certificateFigures are the metrics of certificates.
type certificateFigures struct{ set *hostcert.Set }

var (
	certificateEnd      = prometheus.NewDesc("counterfoil_gateway_certificate_not_after_seconds", "When the certificate of a host that a CA gave ends, in seconds since 1970; 0: there is none.", []string{"host"}, nil)
	certificateFailures = prometheus.NewDesc("counterfoil_gateway_certificate_failures", "How often the CA was asked in vain since it gave the host a certificate.", []string{"host"}, nil)
)

// Describe implements prometheus.Collector.
func (certificateFigures) Describe(to chan<- *prometheus.Desc) {
	to <- certificateEnd
	to <- certificateFailures
}

// Collect implements prometheus.Collector.
func (f certificateFigures) Collect(to chan<- prometheus.Metric) {
	for _, s := range f.set.Status() {
		end := 0.0
		if !s.NotAfter.IsZero() {
			end = float64(s.NotAfter.Unix())
		}
		to <- prometheus.MustNewConstMetric(certificateEnd, prometheus.GaugeValue, end, s.Host)
		to <- prometheus.MustNewConstMetric(certificateFailures, prometheus.GaugeValue, float64(s.Failures), s.Host)
	}
}

// certificatesPage shows an operator what is known of each host.
func certificatesPage(set *hostcert.Set) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = writeJSON(w, map[string]any{"certificates": set.Status()})
	})
}

// proxy has web pass requests on by g, with the certificates of set, which may be nil.
func (c *gatewayRun) proxy(web *ops.Server, g *gateway.Gateway, set *hostcert.Set, log *slog.Logger) error {
	web.Go(func(ctx context.Context) error { <-ctx.Done(); g.Close(); return nil })
	var over func(*tls.Config) *tls.Config
	redirect := g.Redirect()
	if set != nil {
		over, redirect = set.Over, set.HTTP(redirect)
	}
	at, err := web.HandleProxy(c.Proxy, "--proxy-listen", g.Proxy(), over)
	if err != nil {
		return err
	}
	log.Info("passing requests on", "address", at.String())
	web.Go(g.CheckHealth)
	if c.Redirect != "off" {
		if at, err = web.HandlePlain(c.Redirect, "--redirect-listen", redirect); err != nil {
			return err
		}
		log.Info("redirecting to https", "address", at.String())
	}
	if set != nil {
		web.Go(set.Run)
	}
	return nil
}

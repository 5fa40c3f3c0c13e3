package main

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/gateway"
	"github.com/counterfoil/counterfoil/gateway/extauthz"
	"github.com/counterfoil/counterfoil/internal/config"
	"github.com/counterfoil/counterfoil/internal/ops"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/internal/urls"
	"github.com/counterfoil/counterfoil/issuer"
)

// proxySettings are for a server that answers proxies itself, without a gateway beside it.
type proxySettings struct {
	GatewayRoutes  string   `name:"gateway-routes" type:"path" placeholder:"FILE" help:"File of routes (YAML, docs/gateway.md): proxies ask this server who may pass. Empty: none may ask."`
	GatewayListen  string   `name:"gateway-listen" default:"127.0.0.1:8085" placeholder:"ADDR" help:"Address at which these proxies ask. Visitors must not reach it." want:"address"`
	GatewayProxies []string `name:"gateway-proxies" placeholder:"CIDR" help:"Networks of the proxies that may ask: those in front of your services. trusted_proxies are those in front of this server." want:"network"`
	GatewayClient  string   `name:"gateway-client" placeholder:"NAME" help:"Client that people sign in to when a proxy sends them; it must list the origins of the routes. Empty: default."`
	GatewayKey     string   `name:"gateway-assertion-key" placeholder:"FILE" help:"File of the keys that sign what services are told of the caller; made if it is missing. off: nothing is signed. Empty: assertion.key in the data folder."`
}

// check applies the rules between these settings, and reads the routes. With tls the listener has a
// certificate.
func (c *proxySettings) check(v *config.Verdict, tls bool) {
	if c.GatewayRoutes == "" {
		return
	}
	_, err := c.proxied()
	if wrong, refused := errors.AsType[config.Invalid](err); refused {
		v.Refuse("gateway_routes", "names "+wrong[0].Where+": "+wrong[0].Problem, wrong[0].Hint)
	}
	if len(c.GatewayProxies) == 0 {
		v.Refuse("gateway_proxies", "is not set, so nobody may ask", "set the networks of your proxies, such as 127.0.0.1/32")
	}
	if !urls.Loopback(c.GatewayListen) && !tls {
		v.Warn("gateway_listen", "is plain http on a network: the credentials of visitors are readable on the way", "listen on loopback, or set tls_cert and tls_key")
	}
	for _, n := range ops.Networks(c.GatewayProxies) {
		if n.Bits() == 0 {
			v.Danger("gateway_proxies", "has "+n.String()+": everybody may ask", "name the proxies' own networks")
		}
	}
}

// gatewayPatterns are the routes that proxies ask all the time.
var gatewayPatterns = []string{gateway.ForwardAuthPath, gateway.AuthRequestPath, gateway.ExtAuthzPrefix, extauthz.Procedure}

// proxied are the routes that proxies ask about; nil if none may ask.
func (c *proxySettings) proxied() ([]gateway.Route, error) {
	if c.GatewayRoutes == "" {
		return nil, nil
	}
	return readRoutes(c.GatewayRoutes, false)
}

// openGateway lets proxies ask, at a listener of their own: the public one is behind a proxy as well,
// which would pass on a question that a visitor sends.
func (s *service) openGateway(routes []gateway.Route) error {
	if routes == nil {
		return nil
	}
	keys, err := assertionKeys(s.GatewayKey, s.Data, s.log)
	if err != nil {
		return err
	}
	proxies := ops.Networks(s.GatewayProxies)
	g, err := gateway.New(gateway.Options{
		Verifier: s.Verifier(), Routes: routes, TrustedProxies: proxies, SignIn: s.settings.Issuer + "/login", Client: s.GatewayClient, Handover: s.handover(),
		Logger: s.log, Peer: peer, Decided: decided(s.metrics.Metrics, s.log), AssertionKeys: keys,
	})
	if err != nil {
		return err
	}
	questions, envoy := g.Handler(), extauthz.Handler(g, s.log)
	at, err := s.web.HandleAt(s.GatewayListen, "--gateway-listen", proxies, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == extauthz.Procedure {
			envoy.ServeHTTP(w, r)
			return
		}
		questions.ServeHTTP(w, r)
	}))
	if err != nil {
		return err
	}
	s.gateway.Store(g)
	s.log.Info("answering proxies", "address", at.String(), "routes", len(routes), "client", cmp.Or(s.GatewayClient, "default"))
	return nil
}

// handover signs people in at other hosts, by the issuer in this process.
func (s *service) handover() *gateway.Handover {
	i := s.installation.Issuer()
	return &gateway.Handover{
		Page: s.settings.Issuer + "/handover",
		Redeem: func(ctx context.Context, r gateway.Redemption) (gateway.Cookie, error) {
			issued, err := i.Redeem(ctx, issuer.Redemption{
				Client: r.Client, Origin: r.Origin, Code: secret.New(r.Code), Verifier: secret.New(r.Verifier), Replaces: secret.New(r.Replaces),
			})
			if err != nil {
				return gateway.Cookie{}, err
			}
			return gateway.Cookie{Value: issued.Access.Reveal(), Life: issued.ExpiresIn, SameSite: issued.SameSite}, nil
		},
		End: func(ctx context.Context, cookie string) error { return i.GiveUp(ctx, cookie, "", audit.Act{}) },
	}
}

// peer is the other end of the connection of a question.
func peer(r *http.Request) netip.Addr { return ops.Peer(r.Context()) }

// decisionSeconds are the buckets of the time that a decision takes: a seen credential takes
// microseconds, a new one a signature or a question to the auth server, and stale knowledge a wait.
var decisionSeconds = []float64{.0001, .001, .01, .1, 1}

// decided counts and measures the decisions of a gateway, and logs them at the level debug. A line names the
// route, and nothing that the visitor has sent.
func decided(m *ops.Metrics, log *slog.Logger) func(route, verdict string, took time.Duration) {
	decisions := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "counterfoil_gateway_decisions_total", Help: "Decisions about requests, by route and verdict: allowed, or the type of the refusal.",
	}, []string{"route", "verdict"})
	durations := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "counterfoil_gateway_decision_duration_seconds", Buckets: decisionSeconds, Help: "Time to decide, by verdict: allowed, or the type of the refusal.",
	}, []string{"verdict"})
	m.Registry.MustRegister(decisions, durations)
	return func(route, verdict string, took time.Duration) {
		decisions.WithLabelValues(route, verdict).Inc()
		durations.WithLabelValues(verdict).Observe(took.Seconds())
		if ctx := context.Background(); log.Enabled(ctx, slog.LevelDebug) { // before the line is made
			log.LogAttrs(ctx, slog.LevelDebug, "decision", slog.String("route", route), slog.String("verdict", verdict))
		}
	}
}

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/gateway"
	"github.com/counterfoil/counterfoil/gateway/extauthz"
	"github.com/counterfoil/counterfoil/internal/config"
	"github.com/counterfoil/counterfoil/internal/ops"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/internal/textfile"
)

// gatewaySettings is every setting of the gateway.
type gatewaySettings struct {
	Issuer   string        `name:"issuer" placeholder:"URL" help:"URL of the auth server."`
	Audience string        `name:"audience" placeholder:"NAME" help:"The aud that tokens must have. Empty: the issuer."`
	Routes   string        `name:"routes" default:"routes.yaml" type:"path" placeholder:"FILE" help:"File of the routes (YAML)."`
	Proxy    string        `name:"proxy-listen" default:"off" placeholder:"ADDR" help:"Address at which visitors' requests are passed on to the upstreams of their routes, or off." want:"address or off"`
	Bound    time.Duration `name:"bound" default:"10s" placeholder:"TIME" help:"No credential is accepted on knowledge that is older." min:"2s" max:"1m"`
	SignIn   string        `name:"sign-in" placeholder:"URL" help:"Page on which people sign in; it gets the parameters client, return_to and max_age. Empty: /login of the issuer."`
	Client   string        `name:"client" placeholder:"NAME" help:"Client that people sign in to; it must list the origins of the routes. Empty: default."`
	APIKey   secret.String `kong:"-" name:"api-key" help:"API key with the scopes revocation:read, introspect and sessions:handover, and for routes with bff sessions:exchange; the client that people sign in to is its --sessions-of."`
	Key      string        `name:"assertion-key" placeholder:"FILE" help:"File of the keys that sign what services are told of the caller; made if it is missing. off: nothing is signed. Empty: assertion.key in the folder of the routes."`
	Allow    []string      `name:"allow-addresses" placeholder:"CIDR" help:"Networks in which the issuer's name may resolve to a link-local address, or to a private one after a public one. Addresses where clouds keep credentials never are the issuer's." want:"network"`

	ExtAuthz string `name:"ext-authz-listen" default:"off" placeholder:"ADDR" help:"Address at which Envoy asks over gRPC, or off." want:"address or off"`

	monitorPlace
	acmeSettings
	ops.Settings `defaults:"listen=127.0.0.1:8085 ops_listen=127.0.0.1:9465"` // a server on the same machine has the others
}

func (c *gatewaySettings) loader() *config.Settings {
	return config.New(c, config.Options{
		Prefix: envPrefix, Hint: "counterfoil gateway --help lists all settings", Kinds: gatewayKinds(),
		Others: append(variables(new(settings), settingKinds()), variables(new(monitorSettings), ops.Kinds())...),
	})
}

func gatewayKinds() map[string]func(text string) error {
	all := ops.Kinds()
	all["CA or off"] = checkCA
	return all
}

func (c *gatewaySettings) check(where config.Origins) *config.Verdict {
	v := c.loader().Check(where)
	if len(v.Problems) > 0 {
		return v
	}
	if c.Issuer == "" {
		v.Refuse("issuer", "is not set", "set the URL of the auth server, such as https://auth.example.com")
	} else {
		_, err := issuerURL(c.Issuer)
		refuseURL(v, "issuer", err)
	}
	if c.SignIn != "" {
		_, err := issuerURL(c.SignIn)
		refuseURL(v, "sign_in", err)
	}
	if len(c.TrustedProxies) == 0 && !c.passes() {
		v.Refuse("trusted_proxies", "is not set, so nobody may ask", "set the networks of your proxies, such as 127.0.0.1/32, or set proxy_listen")
	}
	if len(c.TrustedProxies) == 0 && c.ExtAuthz != "off" {
		v.Refuse("ext_authz_listen", "is set, and trusted_proxies is not, so nobody may ask", "set the networks of your proxies, such as 127.0.0.1/32")
	}
	if c.APIKey.Reveal() == "" {
		v.Refuse("api_key", "is not set", "counterfoil apikey create --client gateway --scope revocation:read,introspect,sessions:handover --sessions-of default")
	}
	for _, n := range ops.Networks(c.Allow) {
		if n.Bits() == 0 {
			v.Refuse("allow_addresses", "has "+n.String()+": want the network of the issuer", "")
		}
	}
	c.checkACME(v)
	c.Settings.Check(v)
	return v
}

// passes reports whether requests are passed on.
func (c *gatewaySettings) passes() bool { return c.Proxy != "off" }

type gatewayCommand struct {
	Run     gatewayRun     `cmd:"" default:"withargs" help:"Answer the questions of proxies; the default."`
	Check   gatewayCheck   `cmd:"" help:"Print what is wrong with a file of routes."`
	Explain gatewayExplain `cmd:"" help:"Print which route decides about a request, and what it asks for."`
	Snippet gatewaySnippet `cmd:"" help:"Print the configuration that makes a proxy ask the gateway."`
}

type gatewayRun struct {
	ConfigFile string `name:"config" type:"path" placeholder:"FILE" help:"Configuration file (YAML); COUNTERFOIL_CONFIG names one too."`
	gatewaySettings
}

// Run answers until a signal arrives.
func (c *gatewayRun) Run(ctx context.Context, flags given) error {
	v, err := loadChecked(&c.gatewaySettings, c.ConfigFile, flags)
	if err != nil {
		return err
	}
	routes, err := readRoutes(c.Routes, c.passes())
	if err != nil {
		return err
	}
	checks, err := c.monitorPlace.file()
	if err != nil {
		return err
	}
	log, lines := startLog(c.Level(), v.Warnings)
	defer lines.Close()
	defer reserve()()
	metrics := programMetrics(lines.Dropped)
	var w *watching
	if checks != nil {
		if w, err = newWatching(c.monitorPlace, checks, metrics, log); err != nil {
			return err
		}
	}
	return c.serve(ctx, routes, w, log, metrics)
}

// serve answers; w is nil if the gateway watches nothing.
func (c *gatewayRun) serve(ctx context.Context, routes []gateway.Route, w *watching, log *slog.Logger, metrics *ops.Metrics) error {
	live := newStreams(metrics.Registry)
	if len(c.TrustedProxies) == 0 {
		c.Listen = "off" // nobody may ask
	}
	certificates, err := c.certificates(routes, log, metrics.Registry)
	if err != nil {
		return err
	}
	var running atomic.Pointer[gateway.Gateway]
	defer surviveSignals(func() {
		if w != nil {
			w.again()
		}
		if g := running.Load(); g != nil {
			if routes := routesAgain(g, c.Routes, c.passes(), log); routes != nil && certificates != nil {
				c.certify(certificates, routes, log)
			}
		}
	})()
	web, err := ops.Listen(ops.Options{
		Settings: &c.Settings, Metrics: metrics, Logger: log, NotifySocket: os.Getenv("NOTIFY_SOCKET"),
		Quiet: append([]string{pushPattern, "GET " + pushPath}, gatewayPatterns...),
	})
	if err != nil {
		return err
	}
	defer web.Close()
	keys, err := assertionKeys(c.Key, filepath.Dir(c.Routes), log)
	if err != nil {
		return err
	}
	verifier, err := c.verifier(ctx, routes, log)
	if err != nil && ctx.Err() != nil {
		return nil // it was stopped while it started: that is no failure
	}
	if err != nil {
		return err
	}
	defer verifier.Close()
	exchange, err := gateway.RemoteExchange(c.Issuer, c.APIKey.Reveal(), ops.Networks(c.Allow))
	if err != nil {
		return err
	}
	handover, err := gateway.RemoteHandover(c.Issuer, c.APIKey.Reveal(), ops.Networks(c.Allow))
	if err != nil {
		return err
	}
	web.Go(func(ctx context.Context) error { return c.tryHandover(ctx, verifier, handover, routes[0].Origin, log) })
	g, err := gateway.New(gateway.Options{
		Exchange: exchange, Verifier: verifier, Routes: routes, TrustedProxies: c.Trusted(), SignIn: cmp.Or(c.SignIn, c.Issuer+"/login"), Client: c.Client, Handover: handover,
		Logger: log, Peer: peer, Decided: decided(metrics, log), AssertionKeys: keys,
		Opened: live.opened, Cut: live.ended,
	})
	if err != nil {
		return err
	}
	if c.ExtAuthz != "off" {
		at, err := web.HandleAt(c.ExtAuthz, "--ext-authz-listen", c.Trusted(), extauthz.Handler(g, log))
		if err != nil {
			return err
		}
		log.Info("ext-authz listening", "address", at.String())
	}
	running.Store(g)
	pages := map[string]http.Handler{"GET /debug/revocation": http.HandlerFunc(verifier.ServeDebug)}
	if certificates != nil {
		pages["GET /debug/certificates"] = certificatesPage(certificates)
	}
	questions := g.Handler()
	if w != nil {
		w.serve(ctx, web)
		questions = w.before(questions)
	}
	web.Handle(questions, pages)
	if c.passes() {
		if err := c.proxy(web, g, certificates, log); err != nil {
			return err
		}
	}
	return web.Run(ctx, func() error {
		if c.Listen != "off" {
			log.Info("listening", "address", web.Addr().String(), "issuer", c.Issuer, "routes", len(routes))
		}
		return nil
	})
}

// routesAgain reads a file of routes again, and returns them. If it is wrong, the routes stay, and it returns nil.
func routesAgain(g *gateway.Gateway, file string, passes bool, log *slog.Logger) []gateway.Route {
	routes, err := readRoutes(file, passes)
	if err == nil {
		err = g.SetRoutes(routes)
	}
	if err != nil {
		log.Error("the routes stay as they were", "file", file, "error", err.Error())
		return nil
	}
	log.Info("routes", "file", file, "routes", len(routes))
	return routes
}

// tryHandover says what would keep people from signing in at hosts other than that of the auth server,
// once that answers: a code that nobody made shows whether the API key may redeem others.
func (c *gatewayRun) tryHandover(ctx context.Context, v *counterfoil.Verifier, h *gateway.Handover, origin string, log *slog.Logger) error {
	for v.Status().Waiting != "" && ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
	_, err := h.Redeem(ctx, gateway.Redemption{Code: "none", Verifier: "none", Origin: origin, Client: c.Client})
	if !errors.Is(err, counterfoil.ErrInvalidToken) && ctx.Err() == nil {
		log.Warn("people can be signed in only at services on the host of the auth server", "error", err)
	}
	<-ctx.Done()
	return nil
}

// startWithin is how long a gateway that starts waits for the auth server before it listens.
const startWithin = 5 * time.Second

// verifier follows the auth server, also one that does not answer yet. What a person must change is
// an error.
func (c *gatewayRun) verifier(ctx context.Context, routes []gateway.Route, log *slog.Logger) (*counterfoil.Verifier, error) {
	source, err := counterfoil.Remote(c.Issuer, counterfoil.RemoteOptions{Credential: c.APIKey.Reveal(), AllowAddresses: ops.Networks(c.Allow)})
	if err != nil {
		return nil, err
	}
	starting, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	v, err := counterfoil.NewVerifier(starting, source, counterfoil.Options{
		Issuer: c.Issuer, Audience: cmp.Or(c.Audience, c.Issuer), Bound: c.Bound, ServeStale: gateway.LongestStale(routes), StartStale: true, Logger: log,
	})
	if err != nil {
		return nil, unfollowed(c.Issuer, "revocation:read and introspect", err)
	}
	return v, nil
}

// unfollowed is err, which kept a verifier from starting, in the words of an operator.
func unfollowed(issuer, scopes string, err error) error {
	return fmt.Errorf("%s: %s%w%w\nhint: check that this is the URL of the issuer, that it runs, and that the API key is one of it, with the scopes %s",
		issuer, strings.TrimPrefix(err.Error(), "counterfoil: "), hidden{errUnreachable}, hidden{err}, scopes)
}

// readRoutes reads a file of routes for a program that passes requests on, or that does not.
func readRoutes(path string, passes bool) ([]gateway.Route, error) {
	routes, err := readAnyRoutes(path)
	if err != nil {
		return nil, err
	}
	if err := gateway.CheckPassing(routes, passes); err != nil {
		hint := "set proxy_listen of counterfoil gateway: a server, and a gateway without it, pass nothing on"
		if passes {
			hint = "name the upstreams of each route, or leave out proxy_listen, with which another proxy passes requests on"
		}
		return nil, config.Invalid{{Where: path, Problem: err.Error(), Hint: hint}}
	}
	return routes, nil
}

// readAnyRoutes reads a file of routes for whatever they are.
func readAnyRoutes(path string) ([]gateway.Route, error) {
	data, err := textfile.Read(path)
	if err != nil {
		return nil, config.Invalid{{Where: path, Problem: "cannot be read: " + err.Error(), Hint: "docs/gateway.md shows one"}}
	}
	routes, err := gateway.ReadRoutes(data)
	if err == nil {
		err = gateway.Check(routes)
	}
	if err != nil {
		return nil, config.Invalid{{Where: path, Problem: err.Error()}}
	}
	return routes, nil
}

type gatewayCheck struct {
	File       string `arg:"" optional:"" default:"routes.yaml" type:"path" help:"File of the routes."`
	ConfigFile string `name:"config" type:"path" placeholder:"FILE" help:"Configuration file of the gateway; COUNTERFOIL_CONFIG names one too."`
	Proxy      string `name:"proxy-listen" placeholder:"ADDR" help:"What the gateway will be started with: routes with bff need it, and at least one needs upstreams then. Empty: as the configuration says."`
}

// Run reads the file as the gateway would at its start.
func (c *gatewayCheck) Run() error {
	var of gatewaySettings
	if _, err := of.loader().Load(config.Sources{Environ: os.Environ(), File: c.ConfigFile}); err != nil {
		return err
	}
	of.Proxy = cmp.Or(c.Proxy, of.Proxy)
	routes, err := readRoutes(c.File, of.passes())
	if err != nil {
		return err
	}
	fmt.Println("ok: " + counted(len(routes), "route"))
	of.sayCertificates(os.Stdout, routes)
	return nil
}

type gatewayExplain struct {
	Method string `arg:"" help:"Method of the request."`
	URL    string `arg:"" help:"Its URL."`
	Routes string `name:"routes" default:"routes.yaml" type:"path" placeholder:"FILE" help:"File of the routes."`
	As     string `placeholder:"USER" help:"Say what this user gets who has just signed in: an id, or what the user signs in with. It asks the server of the data folder."`
	Client string `default:"default" placeholder:"NAME" help:"Client that the user signed in to, for --as."`
	ACR    string `name:"acr" placeholder:"CLASS" help:"Class (acr) of the login, for --as: only a way of signing in that a program adds to the server states one."`

	placeFlags
}

// session is that of a user who has just signed in.
func (c *gatewayExplain) session(ctx context.Context) (s *counterfoil.Session, err error) {
	err = c.with(ctx, func(a *admin) error {
		u, err := a.user(ctx, c.As)
		if err != nil {
			return err
		}
		if u.Status != directory.Active {
			return fmt.Errorf("user %s is %s, and cannot sign in", c.As, u.Status)
		}
		client, err := a.RegisteredClient(ctx, c.Client)
		s = &counterfoil.Session{Subject: u.ID, Client: c.Client, Roles: u.Roles, Scopes: client.Scopes, ACR: c.ACR, AuthTime: time.Now()}
		if err == nil && client.Disabled {
			err = fmt.Errorf("client %s is disabled, and nobody signs in to it", c.Client)
		}
		return err
	})
	return s, err
}

// Run prints what the gateway would do with a request that carries nothing, or with one of a user.
func (c *gatewayExplain) Run(ctx context.Context) error {
	routes, err := readAnyRoutes(c.Routes)
	if err != nil {
		return err
	}
	if c.ACR != "" && c.As == "" {
		return usageError("--acr is of a login: say with --as whose it is")
	}
	var as *counterfoil.Session
	if c.As != "" {
		if as, err = c.session(ctx); err != nil {
			return err
		}
	}
	text, err := gateway.Explain(routes, c.Method, c.URL, as)
	if err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(os.Stdout, map[string]any{"explanation": strings.Split(text, "\n")})
	}
	fmt.Println(text)
	return nil
}

type gatewaySnippet struct {
	Proxy    string `arg:"" help:"nginx, caddy, traefik, haproxy, envoy, envoy-grpc or gateway-api."`
	Gateway  string `placeholder:"ADDR" help:"Host and port of the gateway: of its ext_authz_listen for envoy-grpc, and the name and port of its Service for gateway-api. Empty: the word GATEWAY stands for it."`
	Upstream string `placeholder:"ADDR" help:"Host and port of the service, or of its Service for gateway-api. Empty: the word UPSTREAM stands for it."`
}

// Run prints what the tests run.
func (c *gatewaySnippet) Run() error {
	text, err := gateway.Snippet(c.Proxy, c.Gateway, c.Upstream)
	if err != nil {
		return usageError(err.Error())
	}
	fmt.Print(text)
	return nil
}

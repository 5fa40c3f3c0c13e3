package compare

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/compare/plain"
	"github.com/counterfoil/counterfoil/source"
)

// What the plain contenders expect.
const (
	cookieName    = source.InsecureCookieName
	plainIssuer   = "https://auth.example.com"
	plainAudience = "https://api.example.com"
)

// nodeChild is a service that checks its callers, in a child: every contender guards the same handler.
// Its exported methods are for net/rpc.
type nodeChild struct {
	ctx      context.Context
	web      *listening
	verifier *counterfoil.Verifier
	stores   map[string]*observedPlain // by kind
	sessions map[string]*plain.Sessions
	tokens   map[string]*plain.Tokens
	lab      lab
}

// NodePlan tells a child how to run a node.
type NodePlan struct {
	Auth, Dial, Key string               // URL of the auth server, the address to connect to instead of its own, an API key
	Bound           time.Duration        // of the verifier; zero: its default
	Stores          []Store              // Plain is the place of the plain contenders
	Keys            map[string]plain.Key // by contender
}

// Open starts the node. The reply is its address.
func (n *nodeChild) Open(p NodePlan, reply *string) (err error) {
	n.stores, n.sessions, n.tokens = make(map[string]*observedPlain), make(map[string]*plain.Sessions), make(map[string]*plain.Tokens)
	kinds := make([]string, 0, len(p.Stores))
	for _, s := range p.Stores {
		opened, err := plain.OpenStore(n.ctx, s.Plain)
		if err != nil {
			return err
		}
		n.stores[s.Kind] = &observedPlain{Store: opened}
		kinds = append(kinds, s.Kind)
	}
	if n.web, err = listen(); err != nil {
		return err
	}
	*reply = n.web.address()
	if err := n.follow(p); err != nil {
		return err
	}
	bare := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	mux := http.NewServeMux()
	if err := n.openLab(mux); err != nil {
		return err
	}
	all := contenders(kinds)
	for i, c := range all {
		guard, err := n.guard(c, p)
		if err != nil {
			return fmt.Errorf("%s: %w", c.ID, err)
		}
		mux.Handle("/check/"+c.ID, guard(bare))
		n.refreshes(mux, c, bare)
		n.routeLab(mux, all, i, guard)
	}
	n.web.serve(mux)
	n.lab.second.serve(mux)
	return nil
}

// follow starts the verifier of our contenders.
func (n *nodeChild) follow(p NodePlan) error {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil
	transport.MaxIdleConnsPerHost = 32
	if p.Dial != "" {
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", p.Dial)
		}
	}
	remote, err := counterfoil.Remote(p.Auth, counterfoil.RemoteOptions{Credential: p.Key, Transport: transport})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(n.ctx, 30*time.Second)
	defer cancel()
	n.verifier, err = counterfoil.NewVerifier(ctx, remote, counterfoil.Options{Issuer: p.Auth, Audience: p.Auth, Bound: p.Bound, Logger: quiet})
	return err
}

// guard is what a contender puts before a handler.
func (n *nodeChild) guard(c Contender, p NodePlan) (func(http.Handler) http.Handler, error) {
	switch {
	case c.ID == noCheck:
		return func(h http.Handler) http.Handler { return h }, nil
	case c.Family == FamilySession:
		var s plain.Store
		if c.Store != "" {
			s = n.stores[c.Store]
		}
		n.sessions[c.ID] = plain.NewSessions(s, cookieName)
		return n.sessions[c.ID].Require, nil
	case c.Family == FamilyJWT:
		o := plain.TokensOptions{Issuer: plainIssuer, Audience: plainAudience, Key: p.Keys[c.key()]}
		if c.Transport == "cookie" {
			o.Cookie = cookieName
		}
		if c.Store != "" {
			o.Blocklist = n.stores[c.Store]
		}
		t, err := plain.NewTokens(o)
		n.tokens[c.ID] = t
		return t.Require, err
	}
	return func(h http.Handler) http.Handler { return n.verifier.Require(h) }, nil
}

// key is the name of the key of a contender with JWTs.
func (c Contender) key() string {
	if strings.HasPrefix(c.ID, jwtBlocklist) {
		return jwtBlocklist
	}
	return c.ID
}

// refreshes adds the route by which a plain contender renews a credential. A JWT is renewed with a
// refresh token, which is in the store of its blocklist.
func (n *nodeChild) refreshes(mux *http.ServeMux, c Contender, bare http.Handler) {
	if s := n.sessions[c.ID]; s != nil {
		mux.Handle("POST /refresh/"+c.ID, s.Renew(bare))
	}
	if t := n.tokens[c.ID]; t != nil && c.Store != "" {
		mux.Handle("POST /refresh/"+c.ID, t.Refresh(n.stores[c.Store], usualLife))
	}
}

// usualLife is how long a plain JWT is good.
const usualLife = 5 * time.Minute

// Login makes credentials of a plain contender.
func (n *nodeChild) Login(p LoginPlan, reply *[]Credential) (err error) {
	all := contenders(n.kinds())
	c := (&Result{Contenders: all}).Contender(p.Contender)
	*reply, err = each(p.From, p.N, func(number int) (Credential, error) {
		subject := fmt.Sprintf("usr_3k2j5h4g6f7d8s9a0q1w_%d", number)
		if s := n.sessions[c.ID]; s != nil {
			id, err := s.Login(n.ctx, subject)
			return Credential{Field: c.field(id), ID: id}, err
		}
		if t := n.tokens[c.ID]; t != nil {
			text, id, err := t.Sign(subject, p.Life)
			return Credential{Field: c.field(text), ID: id}, err
		}
		if c.ID == noCheck {
			return Credential{Field: "Accept-Language: en"}, nil
		}
		return Credential{}, errors.New("no plain contender")
	})
	return err
}

func (n *nodeChild) kinds() (kinds []string) {
	for kind := range n.stores {
		kinds = append(kinds, kind)
	}
	return kinds
}

// RefreshToken makes a refresh token in the store of a kind.
func (n *nodeChild) RefreshToken(kind string, reply *string) (err error) {
	*reply, err = plain.NewRefresh(n.ctx, n.stores[kind], "usr_0")
	return err
}

// EndPlan is which credential to end.
type EndPlan struct{ Contender, ID string }

// End ends a session, or puts a token on the blocklist.
func (n *nodeChild) End(p EndPlan, _ *struct{}) error {
	if s := n.sessions[p.Contender]; s != nil {
		return s.Logout(n.ctx, p.ID)
	}
	if t := n.tokens[p.Contender]; t != nil {
		return t.Block(n.ctx, p.ID, time.Hour)
	}
	return fmt.Errorf("%s is not ended here", p.Contender)
}

// Counts are the questions to the store of a kind.
func (n *nodeChild) Counts(kind string, reply *Counts) error {
	*reply = n.stores[kind].counts()
	return nil
}

// Impair impairs the way to all stores.
func (n *nodeChild) Impair(i Impairment, _ *struct{}) error {
	for _, s := range n.stores {
		s.impaired.Store(&i)
	}
	return nil
}

// Usage is what the process has used.
func (n *nodeChild) Usage(collect bool, reply *Usage) error {
	*reply = usage(collect)
	return nil
}

func (n *nodeChild) close() (err error) {
	for _, l := range []*listening{n.web, n.lab.second} {
		if l != nil {
			l.close()
		}
	}
	if n.verifier != nil {
		n.verifier.Close()
	}
	for _, s := range n.stores {
		err = errors.Join(err, s.Close())
	}
	return err
}

// Package grpcauth checks who calls a gRPC server. It is a module of its own, so
// that programs without gRPC do not bring it with them.
//
//	guard, err := grpcauth.New(verifier, grpcauth.Options{})
//	server := grpc.NewServer(grpc.UnaryInterceptor(guard.Unary), grpc.StreamInterceptor(guard.Stream))
//
// A call carries its credential in the metadata "authorization", as Bearer. Cookies
// are not looked at: no browser sends them to a gRPC server by itself. A handler
// finds the session with counterfoil.FromContext, and demands more with Require. A
// stream ends when its session does.
//
// Metadata is as secret as the connection: whoever can read it can be the caller.
// Serve with TLS, or where nobody else listens.
package grpcauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/source"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// Options of New. With none, every method demands a session and nothing else.
type Options struct {
	// Public methods are open to anybody, and their handlers find no session:
	// "/grpc.health.v1.Health/Check" is one method, "/grpc.health.v1.Health/" all of
	// a service.
	Public []string

	// Route is how all other methods are checked: rules that hold for each of them, the
	// policy for stale knowledge, and more. Its Transport is always Header. A stream
	// ends when knowledge is stale, whatever the policy.
	Route counterfoil.Route
}

// Guard checks calls. Its methods are interceptors, safe for concurrent use.
type Guard struct {
	verifier *counterfoil.Verifier
	route    *counterfoil.Guard
	public   map[string]bool
}

// New returns a guard that asks v. A name in o.Public that no method can have is an
// error. It panics where Verifier.With does.
func New(v *counterfoil.Verifier, o Options) (*Guard, error) {
	if v == nil {
		return nil, errors.New("grpcauth: no verifier")
	}
	o.Route.Transport = counterfoil.Header
	g := &Guard{v, v.With(o.Route), make(map[string]bool)}
	for _, name := range o.Public {
		if service, ok := strings.CutPrefix(name, "/"); !ok || strings.Count(service, "/") != 1 || service[0] == '/' {
			return nil, fmt.Errorf("grpcauth: Options.Public: %q is not /package.Service/Method or /package.Service/", name)
		}
		g.public[name] = true
	}
	return g, nil
}

// isPublic takes the full name of a method.
func (g *Guard) isPublic(method string) bool {
	return g.public[method] || g.public[method[:strings.LastIndexByte(method, '/')+1]]
}

// Unary is a grpc.UnaryServerInterceptor.
func (g *Guard) Unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if g.isPublic(info.FullMethod) {
		return handler(ctx, req)
	}
	s, err := g.check(ctx)
	if err != nil {
		return nil, Status(err).Err()
	}
	return handler(source.NewContext(ctx, s), req)
}

// check finds the one credential of a call and verifies it, as an HTTP request's:
// where it stands, that there is one only (TOK-34), which rules hold and what time it
// is are decided in one place.
func (g *Guard) check(ctx context.Context) (*counterfoil.Session, error) {
	r := &http.Request{Method: http.MethodPost, Header: make(http.Header, 2)}
	for _, name := range []string{"Authorization", source.MinCursorHeader} {
		if values := metadata.ValueFromIncomingContext(ctx, strings.ToLower(name)); len(values) > 0 {
			r.Header[name] = values
		}
	}
	return g.route.VerifyRequest(r.WithContext(ctx))
}

// Require is for handlers: it returns the session of the call if it meets all rules,
// and otherwise an error that says so to the caller when the handler returns it. Rules
// see the time of this machine; those of Options.Route see the verifier's.
func Require(ctx context.Context, rules ...counterfoil.Rule) (*counterfoil.Session, error) {
	s, ok := counterfoil.FromContext(ctx)
	if !ok {
		return nil, Status(counterfoil.ErrNoCredential).Err()
	}
	for _, rule := range rules {
		if err := rule(s, time.Now()); err != nil {
			return nil, Status(err).Err()
		}
	}
	return s, nil
}

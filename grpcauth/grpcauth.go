// Package grpcauth authenticates the calls of a gRPC server. Call [New]. It is a separate
// module, so that programs without gRPC do not depend on gRPC.
//
//	guard, err := grpcauth.New(verifier, grpcauth.Options{})
//	server := grpc.NewServer(grpc.UnaryInterceptor(guard.Unary), grpc.StreamInterceptor(guard.Stream))
//
// A call has its credential in the metadata "authorization", as Bearer. Cookies are ignored,
// because no browser sends them to a gRPC server by itself. A handler finds the session with
// counterfoil.FromContext, and checks further rules with [Require]. A stream ends when its
// session ends.
//
// An attacker who can read the connection can read the metadata, and can act as the caller.
// So serve with TLS, or on a connection that nobody else can read.
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

// Options of [New]. With zero Options every method needs a session and nothing else.
type Options struct {
	// Public lists methods that anybody may call. Their handlers find no session.
	// "/grpc.health.v1.Health/Check" is one method. "/grpc.health.v1.Health/" stands for all
	// methods of a service.
	Public []string

	// Route applies to all other methods: its rules, its policy for stale knowledge, and
	// more. Its Transport is always Header. With every policy a stream ends when the verifier
	// is stale.
	Route counterfoil.Route
}

// Guard checks calls. Its methods are interceptors, safe for concurrent use.
type Guard struct {
	verifier *counterfoil.Verifier
	route    *counterfoil.Guard
	public   map[string]bool
}

// New returns a guard that verifies with v. It returns an error if a name in o.Public cannot
// be the name of a method. It panics in the cases in which Verifier.With panics.
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

// check verifies the credential of a call as that of an HTTP request. So one place in the code
// decides where the credential is, that there is only one (TOK-34), which rules apply, and
// what time it is.
func (g *Guard) check(ctx context.Context) (*counterfoil.Session, error) {
	r := &http.Request{Method: http.MethodPost, Header: make(http.Header, 2)}
	for _, name := range []string{"Authorization", source.MinCursorHeader} {
		if values := metadata.ValueFromIncomingContext(ctx, strings.ToLower(name)); len(values) > 0 {
			r.Header[name] = values
		}
	}
	return g.route.VerifyRequest(r.WithContext(ctx))
}

// Require is for handlers. It returns the session of the call if the session meets all rules.
// Otherwise it returns an error, which the handler returns to the caller. These rules get the
// time of this machine. The rules of [Options].Route get the time of the verifier.
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

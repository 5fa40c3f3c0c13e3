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
	"slices"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// Options of New. With none, every method demands a session and nothing else.
type Options struct {
	// Public methods are open to anybody, and their handlers find no session:
	// "/grpc.health.v1.Health/Check" is one method, "/grpc.health.v1.Health/" all of
	// a service.
	Public []string

	// Rules hold for every method that is not public.
	Rules []counterfoil.Rule
}

// Guard checks calls. Its methods are interceptors, safe for concurrent use.
type Guard struct {
	verifier *counterfoil.Verifier
	public   map[string]bool
	rules    []counterfoil.Rule
}

// New returns a guard that asks v. A name in o.Public that no method can have is an
// error.
func New(v *counterfoil.Verifier, o Options) (*Guard, error) {
	if v == nil {
		return nil, errors.New("grpcauth: no verifier")
	}
	g := &Guard{verifier: v, public: make(map[string]bool), rules: slices.Clone(o.Rules)}
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
	return handler(counterfoil.NewContext(ctx, s), req)
}

// check finds the one credential of a call and verifies it. Where a credential is
// looked for, and that there is one only, is decided by VerifyRequest (TOK-34).
func (g *Guard) check(ctx context.Context) (*counterfoil.Session, error) {
	r := &http.Request{Method: http.MethodPost, Header: http.Header{"Authorization": metadata.ValueFromIncomingContext(ctx, "authorization")}}
	s, err := g.verifier.VerifyRequest(r.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	return s, apply(s, g.rules)
}

func apply(s *counterfoil.Session, rules []counterfoil.Rule) error {
	for _, rule := range rules {
		if err := rule(s, time.Now()); err != nil {
			return err
		}
	}
	return nil
}

// Require is for handlers: it returns the session of the call if it meets all rules,
// and otherwise an error that says so to the caller when the handler returns it.
func Require(ctx context.Context, rules ...counterfoil.Rule) (*counterfoil.Session, error) {
	s, ok := counterfoil.FromContext(ctx)
	if !ok {
		return nil, Status(counterfoil.ErrNoCredential).Err()
	}
	if err := apply(s, rules); err != nil {
		return nil, Status(err).Err()
	}
	return s, nil
}

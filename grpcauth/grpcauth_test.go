package grpcauth_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/counterfoiltest"
	"github.com/counterfoil/counterfoil/grpcauth"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store/memory"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
)

// service answers with the subject of the caller.
type service struct {
	pb.UnimplementedTestServiceServer
	ended chan error // how each stream's handler ended
}

func (s *service) UnaryCall(ctx context.Context, _ *pb.SimpleRequest) (*pb.SimpleResponse, error) {
	session, err := grpcauth.Require(ctx)
	if err != nil {
		return nil, err
	}
	return &pb.SimpleResponse{Username: session.Subject}, nil
}

// EmptyCall is for administrators.
func (s *service) EmptyCall(ctx context.Context, _ *pb.Empty) (*pb.Empty, error) {
	_, err := grpcauth.Require(ctx, counterfoil.Role("admin"))
	return &pb.Empty{}, err
}

// CacheableUnaryCall is public.
func (s *service) CacheableUnaryCall(ctx context.Context, _ *pb.SimpleRequest) (*pb.SimpleResponse, error) {
	if session, ok := counterfoil.FromContext(ctx); ok {
		return nil, fmt.Errorf("session %s in a public method", session.ID)
	}
	return &pb.SimpleResponse{Username: "anybody"}, nil
}

// FullDuplexCall sends every message back. When that fails it returns nil.
func (s *service) FullDuplexCall(stream pb.TestService_FullDuplexCallServer) error {
	if _, ok := counterfoil.FromContext(stream.Context()); !ok {
		return errors.New("no session in the stream's context")
	}
	for {
		in, err := stream.Recv()
		if err == nil {
			err = stream.Send(&pb.StreamingOutputCallResponse{Payload: in.Payload})
		}
		if err != nil {
			s.ended <- err
			return nil // without the guard the caller would believe that all went well
		}
	}
}

// StreamingOutputCall sends until that fails.
func (s *service) StreamingOutputCall(_ *pb.StreamingOutputCallRequest, stream pb.TestService_StreamingOutputCallServer) error {
	for {
		if err := stream.Send(&pb.StreamingOutputCallResponse{Payload: &pb.Payload{Body: make([]byte, 32<<10)}}); err != nil {
			s.ended <- err
			return err
		}
	}
}

func serve(t *testing.T, v *counterfoil.Verifier, o grpcauth.Options) (*service, pb.TestServiceClient) {
	t.Helper()
	guard, err := grpcauth.New(v, o)
	if err != nil {
		t.Fatal(err)
	}
	s := &service{ended: make(chan error, 10)}
	server := grpc.NewServer(grpc.UnaryInterceptor(guard.Unary), grpc.StreamInterceptor(guard.Stream))
	pb.RegisterTestServiceServer(server, s)
	l := bufconn.Listen(1 << 20)
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	conn, err := grpc.NewClient("passthrough:///test", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		server.Stop() // waits for the handlers
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return s, pb.NewTestServiceClient(conn)
}

func with(t *testing.T, fields ...string) context.Context {
	return metadata.AppendToOutgoingContext(t.Context(), fields...)
}

func bearer(t *testing.T, credential string) context.Context {
	return with(t, "authorization", "Bearer "+credential)
}

// wantStatus also checks the details, which tell the caller what to do.
func wantStatus(t *testing.T, what string, err error, code codes.Code, reason string) {
	t.Helper()
	s := status.Convert(err)
	var info *errdetails.ErrorInfo
	var retry *errdetails.RetryInfo
	for _, d := range s.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			info = d
		case *errdetails.RetryInfo:
			retry = d
		}
	}
	if s.Code() != code || info.GetReason() != reason || info.GetDomain() != "counterfoil" || (retry != nil) != (code == codes.Unavailable) {
		t.Errorf("%s: %v, reason %q, retry %v; want %v, %q", what, err, info.GetReason(), retry, code, reason)
	}
}

const (
	methodPublic = "/grpc.testing.TestService/CacheableUnaryCall"
	serviceName  = "/grpc.testing.TestService/"
)

// The carriers that use a header, and every kind of refusal (TOK-19, TOK-34).
func TestUnary(t *testing.T) {
	is := counterfoiltest.New(t)
	_, client := serve(t, is.Verifier(), grpcauth.Options{Public: []string{methodPublic}})
	call := func(ctx context.Context) (string, error) {
		r, err := client.UnaryCall(ctx, &pb.SimpleRequest{})
		return r.GetUsername(), err
	}
	for _, carrier := range []counterfoil.Carrier{counterfoil.CarrierBearer, counterfoil.CarrierJWE} {
		if name, err := call(bearer(t, is.Login("alice", carrier).Access.Reveal())); err != nil || name != "alice" {
			t.Errorf("%v: %q, %v", carrier, name, err)
		}
	}
	good := is.Token("alice")
	for _, c := range []struct {
		name   string
		fields []string
		code   codes.Code
		reason string
	}{
		{"none", nil, codes.Unauthenticated, "NO_CREDENTIAL"},
		{"in a cookie", []string{"cookie", source.InsecureCookieName + "=" + good}, codes.Unauthenticated, "NO_CREDENTIAL"},
		{"two", []string{"authorization", "Bearer " + good, "authorization", "Bearer " + good}, codes.InvalidArgument, "MULTIPLE_CREDENTIALS"},
		{"another scheme", []string{"authorization", "Basic YTpi"}, codes.Unauthenticated, "INVALID_TOKEN"},
		{"no scheme", []string{"authorization", good}, codes.Unauthenticated, "INVALID_TOKEN"},
		{"junk", []string{"authorization", "Bearer junk"}, codes.Unauthenticated, "INVALID_TOKEN"},
		{"changed", []string{"authorization", "Bearer " + good[:len(good)-10] + "AAAAAAAAAA"}, codes.Unauthenticated, "INVALID_TOKEN"},
		{"a list of two", []string{"authorization", "Bearer " + good + ", Bearer " + good}, codes.Unauthenticated, "INVALID_TOKEN"},
	} {
		_, err := call(with(t, c.fields...))
		wantStatus(t, c.name, err, c.code, c.reason)
	}
	is.Revoke(source.ScopeSubject, "alice")
	_, err := call(bearer(t, good))
	wantStatus(t, "revoked", err, codes.Unauthenticated, "INVALID_TOKEN")
}

func TestRules(t *testing.T) {
	is := counterfoiltest.New(t)
	_, client := serve(t, is.Verifier(), grpcauth.Options{Route: counterfoil.Route{
		Rules: []counterfoil.Rule{counterfoil.Role("staff")}, Formats: []counterfoil.Format{counterfoil.JWT},
	}})
	none, staff, admin := is.Token("n"), is.Token("s", "staff"), is.Token("a", "staff", "admin")

	_, err := client.UnaryCall(bearer(t, none), &pb.SimpleRequest{})
	wantStatus(t, "without the role of all methods", err, codes.PermissionDenied, "FORBIDDEN")
	if _, err := client.UnaryCall(bearer(t, staff), &pb.SimpleRequest{}); err != nil {
		t.Errorf("with it: %v", err)
	}
	_, err = client.EmptyCall(bearer(t, staff), &pb.Empty{})
	wantStatus(t, "without the role of the method", err, codes.PermissionDenied, "FORBIDDEN")
	if _, err := client.EmptyCall(bearer(t, admin), &pb.Empty{}); err != nil {
		t.Errorf("with both: %v", err)
	}
	_, err = client.UnaryCall(bearer(t, is.Login("s", counterfoil.CarrierJWE, "staff").Access.Reveal()), &pb.SimpleRequest{})
	wantStatus(t, "another format than the route's", err, codes.Unauthenticated, "INVALID_TOKEN")
	_, err = client.UnaryCall(with(t, "authorization", "Bearer "+staff, "counterfoil-min-cursor", "junk"), &pb.SimpleRequest{})
	wantStatus(t, "an invalid cursor", err, codes.InvalidArgument, "BAD_REQUEST")
	stream, err := client.FullDuplexCall(bearer(t, none))
	if err == nil {
		_, err = stream.Recv()
	}
	wantStatus(t, "a stream without the role", err, codes.PermissionDenied, "FORBIDDEN")
}

// A public method has no session, even if the call has a credential: the guard has not
// verified it.
func TestPublic(t *testing.T) {
	is := counterfoiltest.New(t)
	for _, public := range []string{methodPublic, serviceName} {
		_, client := serve(t, is.Verifier(), grpcauth.Options{Public: []string{public}})
		for _, ctx := range []context.Context{t.Context(), bearer(t, is.Token("alice")), bearer(t, "junk")} {
			if r, err := client.CacheableUnaryCall(ctx, &pb.SimpleRequest{}); err != nil || r.Username != "anybody" {
				t.Errorf("%s: %v, %v", public, r, err)
			}
		}
		_, err := client.UnaryCall(t.Context(), &pb.SimpleRequest{})
		wantStatus(t, public+": another method", err, codes.Unauthenticated, "NO_CREDENTIAL")
	}
	for _, bad := range []string{"", "/", "//", "//m", "grpc.testing.TestService/UnaryCall", "/grpc.testing.TestService", "/a/b/c"} {
		if _, err := grpcauth.New(is.Verifier(), grpcauth.Options{Public: []string{bad}}); err == nil {
			t.Errorf("New accepts Public %q", bad)
		}
	}
	if _, err := grpcauth.New(nil, grpcauth.Options{}); err == nil {
		t.Error("New accepts a nil verifier")
	}
}

func echo(t *testing.T, stream pb.TestService_FullDuplexCallClient) {
	t.Helper()
	if err := stream.Send(&pb.StreamingOutputCallRequest{Payload: &pb.Payload{Body: []byte("hello")}}); err != nil {
		t.Fatal(err)
	}
	if r, err := stream.Recv(); err != nil || string(r.GetPayload().GetBody()) != "hello" {
		t.Fatalf("echo: %v, %v", r, err)
	}
}

// REV-18: a stream ends when its session ends, even if its handler waits for a message, or
// cannot send one. A stream of another session goes on.
func TestStreamEndsWithSession(t *testing.T) {
	is := counterfoiltest.New(t)
	s, client := serve(t, is.Verifier(), grpcauth.Options{})
	open := func(subject string) pb.TestService_FullDuplexCallClient {
		stream, err := client.FullDuplexCall(bearer(t, is.Token(subject)))
		if err != nil {
			t.Fatal(err)
		}
		echo(t, stream)
		return stream
	}
	alice, bob := open("alice"), open("bob")
	// A caller that does not read the messages.
	unread, err := client.StreamingOutputCall(bearer(t, is.Token("alice")), &pb.StreamingOutputCallRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unread.Recv(); err != nil { // the stream has begun
		t.Fatal(err)
	}
	is.Revoke(source.ScopeSubject, "alice")
	_, err = alice.Recv()
	wantStatus(t, "after the revocation", err, codes.Unauthenticated, "INVALID_TOKEN")
	for range 2 {
		wantStatus(t, "in the handler", <-s.ended, codes.Unauthenticated, "INVALID_TOKEN")
	}
	for err = nil; err == nil; _, err = unread.Recv() { // messages that were already sent
	}
	wantStatus(t, "after the messages that were already sent", err, codes.Unauthenticated, "INVALID_TOKEN")

	echo(t, bob)
	if err := bob.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := bob.Recv(); err != io.EOF {
		t.Errorf("bob's stream: %v, want the end", err)
	}
	if err := <-s.ended; err != io.EOF {
		t.Errorf("the handler of bob's stream saw %v, want the end", err)
	}
}

// When the caller cancels the call, the stream ends as it does without a guard.
func TestStreamEndsWithCall(t *testing.T) {
	is := counterfoiltest.New(t)
	s, client := serve(t, is.Verifier(), grpcauth.Options{})
	ctx, cancel := context.WithCancel(bearer(t, is.Token("alice")))
	stream, err := client.FullDuplexCall(ctx)
	if err != nil {
		t.Fatal(err)
	}
	echo(t, stream)
	cancel()
	if err := <-s.ended; status.Code(err) != codes.Canceled {
		t.Errorf("the handler saw %v, want Canceled", err)
	}
	stream, err = client.FullDuplexCall(t.Context())
	if err == nil {
		_, err = stream.Recv()
	}
	wantStatus(t, "a stream without a credential", err, codes.Unauthenticated, "NO_CREDENTIAL")
}

// cuttable is an issuer behind a network that can fail.
type cuttable struct {
	*issuer.Issuer
	cut atomic.Bool
}

func (c *cuttable) Log(ctx context.Context, f source.Follow) (source.Page, error) {
	if c.cut.Load() {
		return source.Page{}, counterfoil.ErrUnavailable
	}
	return c.Issuer.Log(ctx, f)
}

// REV-15: when the verifier is stale, calls and streams get UNAVAILABLE, never
// UNAUTHENTICATED: the verifier cannot know that the credential is bad.
func TestStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const url = "https://auth.test"
		auth, err := server.Open(t.Context(), server.Config{
			Store: memory.New(), URL: url, Logger: slog.New(slog.DiscardHandler), Offline: true, InsecureHashes: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		i := auth.Issuer()
		source := &cuttable{Issuer: i}
		v, err := counterfoil.NewVerifier(t.Context(), source, counterfoil.Options{Issuer: url, Audience: url})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(v.Close)
		rev, err := i.SubjectRev(t.Context(), "alice")
		if err != nil {
			t.Fatal(err)
		}
		issued, err := i.Login(t.Context(), login.Proof{Subject: "alice", At: time.Now(), SubjectRev: rev}, issuer.Request{Carrier: counterfoil.CarrierBearer})
		if err != nil {
			t.Fatal(err)
		}
		ctx := bearer(t, issued.Access.Reveal())

		_, client := serve(t, v, grpcauth.Options{})
		stream, err := client.FullDuplexCall(ctx)
		if err != nil {
			t.Fatal(err)
		}
		echo(t, stream)
		source.cut.Store(true)
		_, err = stream.Recv() // the fake clock advances until the verifier is stale
		wantStatus(t, "stream", err, codes.Unavailable, "VERIFIER_STALE")
		_, err = client.UnaryCall(ctx, &pb.SimpleRequest{})
		wantStatus(t, "call", err, codes.Unavailable, "VERIFIER_STALE")
		source.cut.Store(false)
		time.Sleep(10 * time.Second)
		if _, err := client.UnaryCall(ctx, &pb.SimpleRequest{}); err != nil {
			t.Errorf("after the network works again: %v", err)
		}
	})
}

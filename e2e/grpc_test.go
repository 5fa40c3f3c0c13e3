package e2e_test

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/source"
)

// echoService sends every message back.
type echoService struct {
	pb.UnimplementedTestServiceServer
	ended chan error // how each stream ended
}

func (s *echoService) UnaryCall(ctx context.Context, in *pb.SimpleRequest) (*pb.SimpleResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	return &pb.SimpleResponse{Username: strings.Join(md.Get("counterfoil-subject"), ",")}, nil
}

func (s *echoService) FullDuplexCall(stream pb.TestService_FullDuplexCallServer) error {
	for {
		in, err := stream.Recv()
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = stream.Send(&pb.StreamingOutputCallResponse{Payload: in.Payload})
		}
		if err != nil {
			s.ended <- err
			return err
		}
	}
}

// GW-13: a gRPC stream through the real program is reset when its session is revoked, and one that
// has no message yet is refused. The streams of others, on the same connection, go on.
func TestGRPCStreamsEndWithTheirSession(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	service := &echoService{ended: make(chan error, 10)}
	upstream := grpc.NewServer()
	pb.RegisterTestServiceServer(upstream, service)
	go func() { _ = upstream.Serve(l) }()
	t.Cleanup(upstream.Stop)
	s := newSockets(t, false, "h2c://"+l.Addr().String())
	conn, err := grpc.NewClient(strings.TrimPrefix(s.url, "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	client := pb.NewTestServiceClient(conn)
	alice, bob := s.login("alice", counterfoil.CarrierBearer), s.login("bob", counterfoil.CarrierBearer)
	as := func(token string) context.Context {
		return metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token)
	}
	open := func(token string) pb.TestService_FullDuplexCallClient {
		stream, err := client.FullDuplexCall(as(token))
		if err != nil {
			t.Fatal(err)
		}
		return stream
	}
	echo := func(stream pb.TestService_FullDuplexCallClient) {
		t.Helper()
		if err := stream.Send(&pb.StreamingOutputCallRequest{Payload: &pb.Payload{Body: []byte("hello")}}); err != nil {
			t.Error(err)
		}
		if out, err := stream.Recv(); err != nil || string(out.GetPayload().GetBody()) != "hello" {
			t.Errorf("echo = %v, %v", out, err)
		}
	}
	first, waits, stays := open(alice.Access.Reveal()), open(alice.Access.Reveal()), open(bob.Access.Reveal())
	echo(first)
	echo(stays)
	if out, err := client.UnaryCall(as(alice.Access.Reveal()), &pb.SimpleRequest{}); err != nil || out.Username != "alice" {
		t.Errorf("UnaryCall = %v, %v", out, err)
	}
	s.revoke(source.ScopeSession, alice.Session.ID)
	if _, err := first.Recv(); status.Code(err) != codes.Internal || !strings.Contains(err.Error(), "RST_STREAM") {
		t.Errorf("the stream ends with %v, want a reset", err)
	}
	if _, err := waits.Recv(); status.Code(err) != codes.Unauthenticated {
		t.Errorf("the stream without a message ends with %v, want Unauthenticated", err)
	}
	<-service.ended // the service knows
	echo(stays)
	if _, err := client.UnaryCall(as(alice.Access.Reveal()), &pb.SimpleRequest{}); status.Code(err) != codes.Unauthenticated {
		t.Errorf("UnaryCall after the end = %v", err)
	}
	if err := stays.CloseSend(); err != nil {
		t.Error(err)
	}
	if _, err := stays.Recv(); err != io.EOF {
		t.Errorf("a stream that is closed in order ends with %v", err)
	}
}

// Package extauthz answers Envoy, and other proxies that speak its API for external
// authorization, over gRPC. Call [Handler], and serve it over HTTP/2.
//
// It decides nothing: a question becomes the request that Envoy would send over HTTP, and
// [gateway.Gateway.ExtAuthz] answers that. The package is not part of package gateway, so that
// a program without gRPC links none.
package extauthz

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/counterfoil/counterfoil/gateway"
	"github.com/counterfoil/counterfoil/internal/envoyauth"
	"github.com/counterfoil/counterfoil/internal/refusal"
)

// Procedure is the path at which [Handler] answers.
const Procedure = envoyauth.Procedure

const (
	// maxMessage bounds a question in bytes. Envoy takes no more than 60 KiB of headers, unless it is
	// configured to.
	maxMessage = 128 << 10
	// maxDrained bounds what is read of a longer one, so that its answer can be refusal and no error.
	maxDrained = 16 << 20
)

var (
	errNotGRPC = &refusal.Problem{Status: http.StatusUnsupportedMediaType, Type: "not-grpc", Title: "Only gRPC is spoken here", Detail: "Call " + Procedure + " over HTTP/2, with the content type application/grpc."}
	errBroken  = &refusal.Problem{Status: http.StatusInternalServerError, Type: "internal", Title: "Internal error"}
)

// Handler answers envoy.service.auth.v3.Authorization/Check for g, and nothing else: no
// reflection, and no other protocol. Log gets what must not happen.
//
// What a visitor can bring about is never an error of gRPC, but a refusal: Envoy lets a request
// pass after an error if failure_mode_allow is set. That holds for questions that cannot be
// read, are too long, or end a check by a panic.
func Handler(g *gateway.Gateway, log *slog.Logger) http.Handler { return handler(g.ExtAuthz(""), log) }

// handler answers with what ask says of a request that Envoy would send over HTTP.
func handler(ask http.Handler, log *slog.Logger) http.Handler {
	call := connect.NewUnaryHandler(Procedure,
		func(ctx context.Context, c *connect.Request[question]) (*connect.Response[envoyauth.CheckResponse], error) {
			return connect.NewResponse(answer(ctx, ask, log, c.Msg, c.Peer().Addr)), nil
		},
		connect.WithCodec(codec{}), connect.WithReadMaxBytes(maxMessage), connect.WithCompression("gzip", nil, nil))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		kind := r.Header.Get("Content-Type")
		if r.URL.Path != Procedure || r.ProtoMajor != 2 || kind != "application/grpc" && kind != "application/grpc+proto" {
			errNotGRPC.ServeHTTP(w, r)
			return
		}
		r.Pattern = Procedure
		r.Body = short(r.Body)
		call.ServeHTTP(w, r)
	})
}

// question is a message that may not be one.
type question struct {
	envoyauth.CheckRequest
	err error
}

// codec is that of Protocol Buffers, but a message that cannot be read is no error.
type codec struct{}

func (codec) Name() string { return "proto" }

func (codec) Marshal(message any) ([]byte, error) {
	m, is := message.(proto.Message)
	if !is {
		return nil, fmt.Errorf("%T is no message", message)
	}
	return proto.Marshal(m)
}

func (codec) Unmarshal(data []byte, message any) error {
	q, is := message.(*question)
	if !is {
		return fmt.Errorf("%T is no question", message)
	}
	q.err = proto.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(data, &q.CheckRequest)
	return nil
}

// unreadable is the frame of a message that cannot be read: a tag that does not end.
var unreadable = []byte{0, 0, 0, 0, 1, 0xff}

// short returns a body whose first message is not longer than maxMessage: a longer one becomes one
// that cannot be read.
func short(body io.ReadCloser) io.ReadCloser {
	frame := make([]byte, 5) // a flag, and the length of the message
	n, err := io.ReadFull(body, frame)
	rest := io.MultiReader(bytes.NewReader(frame[:n]), body)
	if length := binary.BigEndian.Uint32(frame[1:]); err == nil && length > maxMessage {
		_, _ = io.CopyN(io.Discard, body, min(int64(length), maxDrained))
		rest = bytes.NewReader(unreadable)
	}
	return struct {
		io.Reader
		io.Closer
	}{rest, body}
}

// answer asks, and says what came of it in the words of Envoy.
func answer(ctx context.Context, ask http.Handler, log *slog.Logger, q *question, peer string) (said *envoyauth.CheckResponse) {
	defer func() {
		if v := recover(); v != nil {
			log.ErrorContext(ctx, "panic", "error", fmt.Sprint(v), "stack", string(debug.Stack()))
			said = denied(record(errBroken, nil))
		}
	}()
	a := record(ask, visitor(ctx, q, peer))
	if a.status != http.StatusOK {
		return denied(a)
	}
	return allowed(a)
}

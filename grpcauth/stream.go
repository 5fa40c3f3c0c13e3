package grpcauth

import (
	"context"

	"github.com/counterfoil/counterfoil/source"
	"google.golang.org/grpc"
)

// Stream is a grpc.StreamServerInterceptor. The stream ends when the session is revoked, the
// copy expires or the verifier is stale: its context ends, and its messages stop in both
// directions. When the handler returns, the caller gets the reason (REV-18).
func (g *Guard) Stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if g.isPublic(info.FullMethod) {
		return handler(srv, ss)
	}
	s, err := g.check(ss.Context())
	if err != nil {
		return Status(err).Err()
	}
	ctx, stop := g.verifier.Watch(ss.Context(), s)
	defer stop()
	w := &watchedStream{ss, source.NewContext(ctx, s)}
	err = handler(srv, w)
	if ended := w.ended(); ended != nil {
		return ended // replaces the error of the handler
	}
	return err
}

// watchedStream is a stream whose calls also end with ctx. With gRPC alone, a handler that
// waits for a message would wait for ever.
type watchedStream struct {
	grpc.ServerStream
	ctx context.Context
}

// Context returns a context that has the session, and ends with the session.
func (w *watchedStream) Context() context.Context { return w.ctx }

// ended returns the error for the caller if the session has ended. It returns nil if the
// session has not ended, or the call itself has ended.
func (w *watchedStream) ended() error {
	if w.ctx.Err() == nil || w.ServerStream.Context().Err() != nil {
		return nil
	}
	return Status(context.Cause(w.ctx)).Err()
}

// RecvMsg fills m, unless the session ends before. If it returns an error, the handler must not
// read m: gRPC may still write to it.
func (w *watchedStream) RecvMsg(m any) error { return w.await(w.ServerStream.RecvMsg, m) }

// SendMsg sends m, unless the session ends before. If it returns an error, the handler must not
// change m: gRPC may still send it. A caller that does not read blocks SendMsg until the
// session ends, and no longer.
func (w *watchedStream) SendMsg(m any) error { return w.await(w.ServerStream.SendMsg, m) }

// await calls f in a goroutine. If the session ends, await does not wait for f. When the
// handler then returns, gRPC ends the stream, and f returns.
func (w *watchedStream) await(f func(any) error, m any) error {
	if err := w.ended(); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- f(m) }()
	select {
	case err := <-done:
		if ended := w.ended(); ended != nil {
			return ended // the handler must not get a message that arrived after the end
		}
		return err
	case <-w.ctx.Done():
	}
	if err := w.ended(); err != nil {
		return err
	}
	return <-done // the call itself has ended, so f returns
}

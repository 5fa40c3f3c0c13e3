package grpcauth

import (
	"context"

	"github.com/counterfoil/counterfoil/source"
	"google.golang.org/grpc"
)

// Stream is a grpc.StreamServerInterceptor. When the session is revoked, the copy
// expires or the verifier goes stale, the stream's context ends, its messages stop in
// both directions, and the caller is told why once the handler returns (REV-18).
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
		return ended // whatever the handler made of it
	}
	return err
}

// watchedStream is a stream that also ends with its context, which gRPC alone does
// not see to: a handler that waits for a message would wait for ever.
type watchedStream struct {
	grpc.ServerStream
	ctx context.Context
}

// Context ends with the session, and holds it.
func (w *watchedStream) Context() context.Context { return w.ctx }

// ended returns what the caller is told if the session has ended, and nil if it has
// not, or the call itself has.
func (w *watchedStream) ended() error {
	if w.ctx.Err() == nil || w.ServerStream.Context().Err() != nil {
		return nil
	}
	return Status(context.Cause(w.ctx)).Err()
}

// RecvMsg fills m, unless the session ends before. Then m is not to be read: a
// message may still be on its way into it.
func (w *watchedStream) RecvMsg(m any) error { return w.await(w.ServerStream.RecvMsg, m) }

// SendMsg sends m, unless the session ends before. Then m is not to be changed: it may
// still be on its way. A caller who does not read can hold it up no longer than that.
func (w *watchedStream) SendMsg(m any) error { return w.await(w.ServerStream.SendMsg, m) }

// await leaves f behind if the session ends: it returns when the handler has, since
// gRPC then ends the stream below it.
func (w *watchedStream) await(f func(any) error, m any) error {
	if err := w.ended(); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- f(m) }()
	select {
	case err := <-done:
		if ended := w.ended(); ended != nil {
			return ended // a message that came after the end is not for the handler
		}
		return err
	case <-w.ctx.Done():
	}
	if err := w.ended(); err != nil {
		return err
	}
	return <-done // the call itself has ended, so f returns
}

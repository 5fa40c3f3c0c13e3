package journey

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/counterfoil/counterfoil/monitor"
)

// Limit is [limitOf].
var Limit = limitOf

// Watch watches one target, as a journey does from the end of its session on.
func Watch(ctx context.Context, dial func(ctx context.Context, network, address string) (net.Conn, error), bound time.Duration, target string, copies ...http.Header) (monitor.Reason, *monitor.Refusal) {
	j := &journey{check: &monitor.Check{Sign: monitor.SignIn{Bound: bound}}, dial: dial}
	transport := j.transport()
	defer transport.CloseIdleConnections()
	found := j.watch(ctx, transport, monitor.Target{URL: target}, copies, time.Now())
	return found.reason, found.refusal
}

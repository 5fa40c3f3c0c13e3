package monitor

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/internal/check"
	"github.com/counterfoil/counterfoil/internal/secret"
)

// longestMessage of a call.
const longestMessage = 500

// Push takes a call for the push check with that id: status is up, or empty for the same, or down. The check
// learns of it at once if this monitor runs it, and otherwise when the call is due.
func (m *Monitor) Push(ctx context.Context, id, status, message string) error {
	switch {
	case status != "" && status != "up" && status != "down":
		return fmt.Errorf("%w: status is up or down", ErrBadRequest)
	case check.People(message) != nil:
		return fmt.Errorf("%w: message cannot be shown", ErrBadRequest)
	}
	for _, c := range m.File().Checks {
		if c.Kind != Push || !c.PushID.Equal(secret.New(id)) {
			continue
		}
		if len(message) > longestMessage {
			message = strings.ToValidUTF8(message[:longestMessage], "")
		}
		if err := m.opts.Keeper.Push(ctx, c.Name, Pushed{At: m.opts.Now(), OK: status != "down", Message: message}); err != nil {
			return err
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		if w := m.watches[c.Name]; w != nil {
			w.wake()
		}
		return nil
	}
	return ErrUnknown
}

// lookForCalls looks whether somebody has called. A call that does not come is a failure, and another
// one after each Every; meanwhile it looks often, because the call may have come to another
// node.
func (w *watch) lookForCalls(ctx context.Context) {
	asking, cancel := context.WithTimeout(ctx, keepWithin)
	p, err := w.monitor.opts.Keeper.LastPush(asking, w.check.Name)
	cancel()
	now, m := w.monitor.opts.Now(), w.machine()
	s := m.state
	switch {
	case err != nil: // that the store is away says nothing of the target
		w.monitor.opts.Logger.Warn("monitor: cannot see whether somebody called", "check", w.check.Name, "error", err.Error())
		s.Next = later(s.Next, now, keepAgain)
		w.tell(ctx, m, now, nil)
	case p.At.After(s.Pushed):
		r := Result{Check: w.check.Name, Due: p.At, At: p.At, OK: p.OK}
		if !p.OK {
			r.Reason, r.Failure = Reported, "the caller says that it failed: "+p.Message
		}
		_, r.Maintenance = w.monitor.quiet(w.check.Name, p.At)
		s.Pushed, s.Phase = p.At, p.At
		s.Next = p.At.Add(w.check.Every + w.check.Grace)
		if s.Next.Before(now) {
			s.Next = now // it came, and the one after it did not
		}
		m.apply(r)
		w.tell(ctx, m, now, &r)
	case now.Before(s.Phase.Add(w.check.Every + w.check.Grace)):
		s.Next = later(s.Next, now, retryAfter)
		w.tell(ctx, m, now, nil)
	default:
		missing := s.Phase.Add(w.check.Every + w.check.Grace)
		r := Result{Check: w.check.Name, Due: missing, At: missing, Reason: Silent, Failure: "nobody has called yet"}
		if !s.Pushed.IsZero() {
			r.Failure = "nobody called since " + s.Pushed.UTC().Format(time.RFC3339)
		}
		_, r.Maintenance = w.monitor.quiet(w.check.Name, now)
		s.Phase = s.Phase.Add((now.Sub(missing)/w.check.Every + 1) * w.check.Every)
		s.Next = now.Add(retryAfter)
		m.apply(r)
		w.tell(ctx, m, now, &r)
	}
}

// later is next, or a pause after now if next has passed.
func later(next, now time.Time, pause time.Duration) time.Time {
	if next.After(now) {
		return next
	}
	return now.Add(pause)
}

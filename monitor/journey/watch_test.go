package journey_test

import (
	"context"
	"net"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil/monitor"
	"github.com/counterfoil/counterfoil/monitor/journey"
)

// The limit is the bound and a thousandth of it, as docs/monitor.md says.
func TestLimit(t *testing.T) {
	for bound, want := range map[time.Duration]time.Duration{
		2 * time.Second: 2002 * time.Millisecond, 30 * time.Second: 30030 * time.Millisecond, time.Minute: 60060 * time.Millisecond,
	} {
		if got := journey.Limit(bound); got != want {
			t.Errorf("the limit of %v is %v, want %v", bound, got, want)
		}
	}
}

// pipes is a listener within this process: so a bubble has its clock.
type pipes struct {
	net.Listener // its Addr is never asked
	made         chan net.Conn
	closed       chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.made:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error { close(p.closed); return nil }

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	here, there := net.Pipe()
	p.made <- there
	return here, nil
}

// poll is a request that a target got.
type poll struct {
	at     time.Duration // since the session ended
	copied string
}

// watched has a target watched that accepts everybody until a time, and 401 from then on. It returns what it was
// asked.
func watched(t *testing.T, bound, until time.Duration) (reason monitor.Reason, refusal *monitor.Refusal, polls []poll) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		in := &pipes{made: make(chan net.Conn), closed: make(chan struct{})}
		web := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			at := time.Since(began)
			if polls = append(polls, poll{at, r.Header.Get("Authorization")}); at >= until {
				w.WriteHeader(http.StatusUnauthorized)
			}
		})}
		served := make(chan error, 1)
		go func() { served <- web.Serve(in) }()
		reason, refusal = journey.Watch(t.Context(), in.dial, bound, "http://target.example/", http.Header{"Authorization": {"new"}}, http.Header{"Authorization": {"old"}})
		if err := web.Close(); err != nil {
			t.Error(err)
		}
		<-served
	})
	return reason, refusal, polls
}

// A target is asked every 20 ms until it has refused five times in a row, the last time the copy of before the refresh.
func TestPolls(t *testing.T) {
	reason, refusal, polls := watched(t, 2*time.Second, time.Second)
	var want []poll
	for at := time.Duration(0); at < 1080*time.Millisecond; at += 20 * time.Millisecond {
		want = append(want, poll{at, "new"})
	}
	want = append(want, poll{1080 * time.Millisecond, "old"})
	if !slices.Equal(polls, want) {
		t.Errorf("asked at %v, want %v", polls, want)
	}
	if reason != "" || refusal == nil || !refusal.Refused || refusal.After != time.Second {
		t.Errorf("%q, %+v", reason, refusal)
	}
}

// The first request is a breach that is sent after the limit and let in; none before it is.
func TestBreach(t *testing.T) {
	for bound, want := range map[time.Duration]time.Duration{
		2 * time.Second: 2020 * time.Millisecond, 30 * time.Second: 30040 * time.Millisecond, 50 * time.Second: 50060 * time.Millisecond,
	} {
		reason, refusal, polls := watched(t, bound, time.Hour)
		if reason != monitor.NotRefused || refusal == nil || refusal.Refused || refusal.After != want || len(polls) != int(want/(20*time.Millisecond))+1 {
			t.Errorf("bound %v: %q, %+v after %d requests, want a breach at %v", bound, reason, refusal, len(polls), want)
		}
	}
}

package ops

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// outcome is when a Read or a Write returned, and what.
type outcome struct {
	at  time.Duration
	n   int
	err string
}

// script moves a deadline of one end of a pipe at random, and lets the other end act at random.
// It returns what became of each Read or Write.
func script(seed uint64, wrap func(net.Conn) net.Conn, writes bool) (all []outcome) {
	random := rand.New(rand.NewPCG(seed, 1))
	here, there := net.Pipe()
	conn := wrap(here)
	set, act, peer := conn.SetReadDeadline, conn.Read, there.Write
	if writes {
		set, act, peer = conn.SetWriteDeadline, conn.Write, there.Read
	}
	begun := time.Now()
	var ended sync.WaitGroup
	ended.Go(func() {
		buffer := make([]byte, 3)
		for {
			n, err := act(buffer)
			o := outcome{at: time.Since(begun), n: n}
			if late, is := err.(net.Error); is && late.Timeout() && errors.Is(err, os.ErrDeadlineExceeded) {
				o.err = "timeout"
			} else if err != nil {
				o.err = err.Error()
			}
			all = append(all, o)
			switch {
			case errors.Is(err, os.ErrDeadlineExceeded):
				time.Sleep(777 * time.Millisecond)
			case err != nil:
				return
			}
		}
	})
	turns := make(chan struct{}, 60)
	ended.Go(func() {
		for range turns {
			_ = there.SetDeadline(time.Now().Add(5 * time.Second))
			_, _ = peer(make([]byte, 2))
		}
	})
	for range 60 {
		time.Sleep(time.Duration(random.Int64N(int64(6 * time.Second))))
		now := time.Now()
		switch random.IntN(8) {
		case 0:
			_ = set(time.Time{})
		case 1:
			_ = set(time.Unix(1, 0))
		case 2:
			_ = set(now)
		case 3, 4, 5:
			_ = set(now.Add(time.Duration(random.Int64N(int64(20 * time.Second)))))
		default:
			turns <- struct{}{}
		}
	}
	synctest.Wait() // the last turn is taken
	close(turns)
	_ = conn.Close()
	ended.Wait()
	return all
}

// OPS-06: a connection that moves its timers seldom has exactly the deadlines of one that moves
// them each time.
func TestDeadlinesAreThoseOfTheConnection(t *testing.T) {
	for seed := range uint64(200) {
		for _, writes := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				want := script(seed, func(c net.Conn) net.Conn { return c }, writes)
				got := script(seed, func(c net.Conn) net.Conn { return newDeadlineConn(c) }, writes)
				if !slices.Equal(got, want) {
					t.Fatalf("seed %d, writes %v:\n%v\nwant\n%v", seed, writes, got, want)
				}
			})
		}
	}
}

// counted counts how often the deadlines of a connection are moved.
type counted struct {
	net.Conn
	moved atomic.Int64
}

func (c *counted) SetReadDeadline(t time.Time) error {
	c.moved.Add(1)
	return c.Conn.SetReadDeadline(t)
}

func (c *counted) SetWriteDeadline(t time.Time) error {
	c.moved.Add(1)
	return c.Conn.SetWriteDeadline(t)
}

// A request costs two moves of a timer at most: net/http wakes its own read that way, and then waits again.
func TestDeadlinesAreMovedSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, below := net.Pipe()
		conn := &counted{Conn: below}
		l := &oneConn{make(chan net.Conn, 1), make(chan struct{})}
		l.conn <- conn
		served := make(chan error, 1)
		ctx, stop := context.WithCancel(t.Context())
		go func() {
			served <- Serve(ctx, deadlineListener{l}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
		}()
		transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return client, nil }}
		ask := func() {
			answer, err := transport.RoundTrip(must(http.NewRequest("GET", "http://server", nil)))
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, answer.Body)
			_ = answer.Body.Close()
			time.Sleep(time.Millisecond)
		}
		ask()
		before := conn.moved.Load()
		const requests = 1000
		for range requests {
			ask()
		}
		if moved := conn.moved.Load() - before; moved > 2*requests+10 {
			t.Errorf("%d requests moved timers %d times, want twice each at most", requests, moved)
		}
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
		transport.CloseIdleConnections()
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

package hostcert

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/acme"
)

// host is one of a Set.
type host struct {
	name        string
	certificate atomic.Pointer[tls.Certificate] // nil: there is none
	changed     chan struct{}                   // due may have; capacity 1
	stop        context.CancelFunc              // ends keep; nil: it does not run

	mu      sync.Mutex // guards the fields below
	renewed time.Time  // when the certificate is to be replaced; zero: there is none
	failed  failures
	busy    time.Time // until when another program is left to ask
}

// failures are those since the CA gave a certificate.
type failures struct {
	Count   int       `json:"count"`
	Last    time.Time `json:"last"`
	Next    time.Time `json:"next"`
	Limited bool      `json:"limited,omitempty"` // the CA has said when it may be asked again
	Problem string    `json:"problem"`
}

// pauses are those after the first failure, the second, and so on. Let's Encrypt looks five times at a host, and once more every 12
// minutes: these, and soonest, are within that.
var pauses = []time.Duration{time.Minute, 4 * time.Minute, 15 * time.Minute, time.Hour, 3 * time.Hour, 6 * time.Hour}

// soonest is the pause after a failure for an operator who starts the program again, or has it read the hosts again.
const soonest = 12 * time.Minute

// attempt is how long one may take.
const attempt = 3 * time.Minute

// after returns the failures with one more.
func (f failures) after(err error, now time.Time) failures {
	pause := pauses[min(f.Count, len(pauses)-1)]
	pause += rand.N(pause / 10) // several hosts, several programs
	limited := false
	if refused, is := errors.AsType[*acme.Error](err); is {
		var longer time.Duration
		longer, limited = acme.RateLimit(refused)
		pause = max(pause, longer)
	}
	return failures{f.Count + 1, now, now.Add(pause), limited, err.Error()}
}

// due is when the CA is to be asked.
func (h *host) due() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.dueLocked()
}

func (h *host) dueLocked() time.Time {
	due := h.renewed
	for _, not := range []time.Time{h.failed.Next, h.busy} {
		if not.After(due) {
			due = not
		}
	}
	return due
}

// hurry makes h due sooner after a failure, unless the CA has said when it may be asked.
func (h *host) hurry() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if sooner := h.failed.Last.Add(soonest); !h.failed.Limited && sooner.Before(h.failed.Next) {
		h.failed.Next = sooner
		signal(h.changed)
	}
}

func (h *host) status() Status {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := Status{Host: h.name, Next: h.dueLocked(), Failures: h.failed.Count, Problem: h.failed.Problem}
	if c := h.certificate.Load(); c != nil {
		s.NotAfter = c.Leaf.NotAfter
	}
	return s
}

// use serves a certificate. A third of its time before its end, and of more than 90 days 30 days, it is replaced.
func (h *host) use(c *tls.Certificate) {
	left := min(c.Leaf.NotAfter.Sub(c.Leaf.NotBefore)/3, 30*24*time.Hour)
	h.certificate.Store(c)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.renewed = c.Leaf.NotAfter.Add(-left + rand.N(left/10+1))
	h.failed = failures{}
}

// keep asks the CA whenever h is due, until ctx ends. It looks once an hour, because a clock may be set.
func (s *Set) keep(ctx context.Context, h *host) {
	for ctx.Err() == nil {
		wait := time.NewTimer(min(time.Until(h.due()), time.Hour))
		select {
		case <-ctx.Done():
		case <-h.changed:
		case <-wait.C:
			if !time.Now().Before(h.due()) {
				s.renew(ctx, h)
			}
		}
		wait.Stop()
	}
}

// renew asks the CA for a certificate of h, if no program that shares the folder does or has done so.
func (s *Set) renew(ctx context.Context, h *host) {
	select {
	case s.room <- struct{}{}:
		defer func() { <-s.room }()
	case <-ctx.Done():
		return
	}
	unlock, err := s.files.lock(h.name)
	if errors.Is(err, errBusy) {
		h.mu.Lock()
		h.busy = time.Now().Add(5 * time.Second)
		h.mu.Unlock()
		return
	} else if err != nil {
		s.fail(h, err)
		return
	}
	defer unlock()
	if s.read(h); time.Now().Before(h.due()) {
		return
	}
	asking, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	pair, err := s.order(asking, h)
	if ctx.Err() != nil {
		return // the program stops, or has lost the host
	}
	if err != nil {
		s.account.forget() // the CA may have
		s.fail(h, err)
		return
	}
	kept, err := s.files.keep(h.name+pairFile, pair), s.files.remove(h.name+failedFile)
	if err := errors.Join(kept, err); err != nil {
		s.opts.Logger.Error("certificate not kept: the next start asks for another one", "host", h.name, "error", err.Error())
	}
	h.use(pair)
	s.opts.Logger.Info("certificate", "host", h.name, "not_after", pair.Leaf.NotAfter, "ca", s.opts.Directory)
}

func (s *Set) fail(h *host, err error) {
	h.mu.Lock()
	h.failed = h.failed.after(err, time.Now())
	failed := h.failed
	h.mu.Unlock()
	s.opts.Logger.Error("certificate not obtained", "host", h.name, "error", failed.Problem, "failures", failed.Count, "next", failed.Next.Round(time.Second), "ca", s.opts.Directory)
	if err := s.files.note(h.name+failedFile, failed); err != nil {
		s.opts.Logger.Error("failure not kept", "host", h.name, "error", err.Error())
	}
}

// read takes what the folder has of h. What is damaged is logged, and counts as missing.
func (s *Set) read(h *host) {
	pair, err := s.files.pair(h.name + pairFile)
	if err == nil {
		err = pair.Leaf.VerifyHostname(h.name)
	}
	if now := h.certificate.Load(); err == nil && (now == nil || newer(pair.Leaf, now.Leaf)) {
		h.use(pair)
	}
	failed, failure := s.files.failures(h.name + failedFile)
	if failed.Last.After(time.Now()) {
		failed.Last, failed.Next, failed.Limited = time.Time{}, time.Time{}, false // the clock was wrong then
	}
	h.mu.Lock()
	if failed.Count > 0 && (h.failed.Count == 0 || failed.Last.After(h.failed.Last)) { // not for the pause that hurry has made shorter
		h.failed = failed
	}
	h.mu.Unlock()
	for _, err := range []error{err, failure} {
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.opts.Logger.Error("file of a host not read", "host", h.name, "error", err.Error())
		}
	}
}

func newer(a, b *x509.Certificate) bool { return a.NotAfter.After(b.NotAfter) }

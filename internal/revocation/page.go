package revocation

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Follow asks for the next page of the log, and says which verifier asks. The issuer must know
// the verifiers that may still be fresh, to answer "every verifier has it" (revoke with
// wait=all).
type Follow struct {
	After Cursor        // zero, or another epoch than the log's: from the beginning
	Proof string        // Page.Proof of the page that ended at After; without it the issuer believes no cursor beyond its head
	Wait  time.Duration // how long to wait for new entries; 0 answers at once; at most 30 s

	Verifier   string        // random id of this verifier, 8 to 64 characters of [A-Za-z0-9_-]; empty: not counted by wait=all
	Key        string        // id of the credential that it follows with: the issuer's server sets it, nobody sends it; the ids of verifiers count within it
	Bound      time.Duration // D: how long the verifier goes on after its last complete page; required with Verifier
	ServeStale bool          // it may go on longer than Bound: wait=all lists it and does not wait for it

	Program Program // who follows, for people; the issuer's server sets it
}

// Program is what an issuer's server knows of a program that asks.
type Program struct {
	Client  string     // of its API key
	Address netip.Addr // that its request came from
	Agent   string     // its User-Agent: what it says of itself, and its version
}

// Page is an answer to Follow: the entries in the interval (After, Upto].
type Page struct {
	Entries []Revocation
	After   Cursor    // where the interval begins: at Follow.After, or at zero of the epoch when it was not usable
	Upto    Cursor    // where the interval ends
	Head    Cursor    // the log's head, read after the question arrived
	Time    time.Time // the issuer's clock, by which the verifier judges what has expired; zero: not told
	Proof   string    // shows the issuer later that it was at Upto; opaque, at most 64 characters
}

// Complete reports whether the page reaches the head: only then is it a
// watermark, a proof of freshness.
func (p Page) Complete() bool { return p.Upto == p.Head }

// maxClock is the year 2200: beyond it nanoseconds since 1970 and a lifetime of a century do not
// fit 64 bits.
const maxClock = 7258118400

// ErrPage means that a text is no page of a revocation log, or that a page contradicts itself.
var ErrPage = errors.New("the page contradicts itself")

// Check refuses a page that is not one interval of one log (REV-08).
func (p Page) Check() error {
	epoch := p.Head.Epoch
	if epoch == 0 || p.Upto.Epoch != epoch || p.After.Epoch != epoch || p.Head.Before(p.Upto) || p.Upto.Before(p.After) {
		return fmt.Errorf("%w: not of one epoch and in order", ErrPage)
	}
	if !p.Time.IsZero() && (p.Time.Unix() < 0 || p.Time.Unix() >= maxClock) {
		return fmt.Errorf("%w: a time that no clock has", ErrPage)
	}
	if p.Upto == p.After && !p.Complete() {
		return fmt.Errorf("%w: nothing in it, and yet not the end", ErrPage)
	}
	for _, e := range p.Entries {
		if e.At.Epoch != epoch || !p.After.Before(e.At) || p.Upto.Before(e.At) {
			return fmt.Errorf("%w: an entry lies outside of its interval", ErrPage)
		}
	}
	return nil
}

package clients

import (
	"fmt"
	"strings"
	"time"
)

// Lifetimes say how long what a client is given lives. They are those of a client, or of the
// server, which are the longest that a client can have. Zero is that of the server.
type Lifetimes struct {
	AccessTTL   Lifetime `json:"access_ttl,omitempty"`   // of a copy until it is refreshed
	Idle        Lifetime `json:"idle,omitempty"`         // an opaque session unused for so long has ended
	RefreshIdle Lifetime `json:"refresh_idle,omitempty"` // a grant whose refresh token is unused for so long has ended
	Absolute    Lifetime `json:"absolute,omitempty"`     // a session lives no longer, used or not; nor does a grant of the client on a session of another one
}

// Lifetime is a time in whole seconds. As text it has units, such as 90s, 15m or 8h.
type Lifetime time.Duration

// String is l as people write it: 5m, where [time.Duration.String] has 5m0s.
func (l Lifetime) String() string {
	text := time.Duration(l).String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}

// MarshalText is String.
func (l Lifetime) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads a lifetime. No text is zero.
func (l *Lifetime) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*l = 0
		return nil
	}
	d, err := time.ParseDuration(string(text))
	if err != nil || d < 0 || d%time.Second != 0 {
		return fmt.Errorf("%w: a lifetime is whole seconds with units, such as 90s, 15m or 8h", ErrBadRequest)
	}
	*l = Lifetime(d)
	return nil
}

// named is one of some lifetimes, as JSON names it.
type named struct {
	name string
	Lifetime
}

func (l Lifetimes) all() []named {
	return []named{{"access_ttl", l.AccessTTL}, {"idle", l.Idle}, {"refresh_idle", l.RefreshIdle}, {"absolute", l.Absolute}}
}

// words are those of l that are set.
func (l Lifetimes) words() (text string) {
	for _, one := range l.all() {
		if one.Lifetime != 0 {
			text += " " + one.name + "=" + one.String()
		}
	}
	return text
}

// InForce returns the lifetimes of what c is given: its own, and those of the server where c has
// none, or where they are shorter.
func (g *Registry) InForce(c *Client) Lifetimes {
	shorter := func(own, most Lifetime) Lifetime {
		if own == 0 {
			return most
		}
		return min(own, most)
	}
	own, most := c.Lifetimes, g.opts.Longest
	return Lifetimes{
		AccessTTL: shorter(own.AccessTTL, most.AccessTTL), Idle: shorter(own.Idle, most.Idle),
		RefreshIdle: shorter(own.RefreshIdle, most.RefreshIdle), Absolute: shorter(own.Absolute, most.Absolute),
	}
}

// checkLifetimes refuses those of next that no client may have. One that is as it was before is
// not looked at: the server may have been given a shorter one since, which holds, and the client
// must be changed, disabled and deleted all the same.
func (g *Registry) checkLifetimes(next, before Lifetimes) error {
	was, least, most := before.all(), g.opts.Shortest.all(), g.opts.Longest.all()
	for n, l := range next.all() {
		if l.Lifetime == 0 || l == was[n] {
			continue
		}
		if l.Lifetime < least[n].Lifetime || l.Lifetime > most[n].Lifetime || time.Duration(l.Lifetime)%time.Second != 0 {
			return fmt.Errorf("%w: client: %s is %v: want whole seconds from %v to %v, which the server has", ErrBadRequest, l.name, l, least[n], most[n])
		}
	}
	return nil
}

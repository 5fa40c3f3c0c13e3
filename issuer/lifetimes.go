package issuer

import (
	"time"

	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/revlog"
)

// A client may have shorter lifetimes than the server, and never longer ones: what rests on the
// server's, such as how long an entry of the log is kept, holds for every client. A change of them
// does this to what lives:
//
//   - AccessTTL is for copies that are made from then on. Those that are out keep their ends.
//   - Idle is for a session from its next use on, which may have been cached by verifiers until now: a
//     session that is used all the time does not end by the change.
//   - RefreshIdle is compared at each refresh, with the time since the last one.
//   - Absolute is for sessions and grants that are made from then on: the end of a session never moves.
//
// A change of the server's own lifetimes does the same.

// shortest are the least lifetimes, of the server and of a client.
var shortest = clients.Lifetimes{
	AccessTTL:   clients.Lifetime(10 * time.Second),
	Idle:        clients.Lifetime(3 * touchEvery),
	RefreshIdle: clients.Lifetime(revlog.MaxCopyTTL), // so that a grant never ends before a copy does
	Absolute:    clients.Lifetime(time.Minute),
}

// lifetimes are those of the server.
func (o *Options) lifetimes() clients.Lifetimes {
	return clients.Lifetimes{
		AccessTTL: clients.Lifetime(o.AccessTTL), Idle: clients.Lifetime(o.Idle),
		RefreshIdle: clients.Lifetime(o.RefreshIdle), Absolute: clients.Lifetime(o.Absolute),
	}
}

func (i *Issuer) accessTTL(c *clients.Client) time.Duration {
	return time.Duration(i.clients.InForce(c).AccessTTL)
}

func (i *Issuer) idle(c *clients.Client) time.Duration {
	return time.Duration(i.clients.InForce(c).Idle)
}

func (i *Issuer) refreshIdle(c *clients.Client) time.Duration {
	return time.Duration(i.clients.InForce(c).RefreshIdle)
}

// absoluteEnd is when a session or a grant of c ends that begins now.
func (i *Issuer) absoluteEnd(c *clients.Client, now time.Time) time.Time {
	return now.Add(time.Duration(i.clients.InForce(c).Absolute)).Truncate(time.Second)
}

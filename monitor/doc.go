// Package monitor watches endpoints: it runs checks, decides what is up and what is down, and
// says when that changes. Read a file of checks with [Parse], then call [New], then [Monitor.Run].
//
// A [Check] is run at regular times. Its [Result] changes a [State], and a change of the state
// makes an [Event]. A [Keeper] gets the three together, as one [Step], so that a monitor that takes
// over from another one goes on where that one stopped, and no event is lost or sent twice.
//
// The package imports no store, so that a gateway can have it. It sends nothing to people itself: the
// Keeper gets the events. docs/monitor.md says what an operator can rely on.
package monitor

package alert

import (
	"fmt"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/internal/check"
	"github.com/counterfoil/counterfoil/monitor"
)

// testKind is the kind of an event that says nothing but that a channel works.
const testKind monitor.EventKind = "test"

// headline is e in one line.
func headline(e monitor.Event) string {
	name := e.Title
	if name == "" {
		name = e.Check
	}
	name = clean(name)
	switch e.Kind {
	case monitor.WentDown:
		if e.Critical {
			return "CRITICAL: " + name
		}
		return "DOWN: " + name
	case monitor.WentUp:
		return "UP: " + name
	case monitor.Flaps:
		return "FLAPPING: " + name
	case monitor.Reminder:
		return "STILL DOWN: " + name
	case monitor.Expiring:
		return "CERTIFICATE ENDS: " + name
	case monitor.MaintenanceBegan:
		return "MAINTENANCE BEGAN: " + e.Maintenance
	case monitor.MaintenanceEnded:
		return "MAINTENANCE ENDED: " + e.Maintenance
	case testKind:
		return "TEST"
	}
	return strings.ToUpper(string(e.Kind)) + ": " + name
}

// lines are e in sentences.
func lines(e monitor.Event) (all []string) {
	add := func(format string, args ...any) { all = append(all, clean(fmt.Sprintf(format, args...))) }
	switch e.Kind {
	case monitor.WentDown:
		add("It is down since %s.", moment(e.Since))
	case monitor.WentUp:
		add("It is up since %s.", moment(e.Since))
		if !e.Before.IsZero() {
			add("It was down for %s.", lasting(e.Since.Sub(e.Before)))
		}
	case monitor.Flaps:
		add("It changes between up and down. You are told when it has been the same for 15 minutes.")
	case monitor.Reminder:
		add("It is down since %s, for %s.", moment(e.Since), lasting(e.At.Sub(e.Since)))
	case monitor.Expiring:
		if left := e.Expires.Sub(e.At); left > 0 {
			add("Its certificate ends on %s, in %s.", moment(e.Expires), lasting(left))
		} else {
			add("Its certificate ended on %s.", moment(e.Expires))
		}
	case monitor.MaintenanceBegan:
		add("Until %s nobody is told what happens to %s.", moment(e.Until), checks(e))
	case monitor.MaintenanceEnded:
		add("From now on you are told again what happens to %s.", checks(e))
	case testKind:
		add("Somebody asked for a test of this channel. It works.")
	}
	if e.Critical && e.Kind != monitor.WentUp {
		add("A session that has ended is still accepted.")
	}
	if e.Failure != "" {
		add("%s", strings.ToUpper(e.Failure[:1])+strings.TrimSuffix(e.Failure[1:], ".")+".")
	}
	if e.Why != "" {
		add("Reason: %s", e.Why)
	}
	if e.Group != "" {
		add("Group: %s", e.Group)
	}
	return all
}

// longestLine is the length in bytes of one sentence: what a target has answered may be long.
const longestLine = 500

// clean makes a text from elsewhere safe to show.
func clean(text string) string { return check.Clip(text, longestLine) }

func checks(e monitor.Event) string {
	if len(e.Checks) == 0 {
		return "all checks"
	}
	return strings.Join(e.Checks, ", ")
}

func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// lasting is d in the two greatest units.
func lasting(d time.Duration) string {
	d = max(d, 0).Round(time.Second)
	switch s := int(d / time.Second); {
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return strings.TrimSuffix(fmt.Sprintf("%d min %d s", s/60, s%60), " 0 s")
	case s < 24*3600:
		return strings.TrimSuffix(fmt.Sprintf("%d h %d min", s/3600, s/60%60), " 0 min")
	default:
		return strings.TrimSuffix(fmt.Sprintf("%d d %d h", s/86400, s/3600%24), " 0 h")
	}
}

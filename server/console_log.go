package server

import (
	"cmp"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/rights"
)

// logPage is who revoked what, and which verifiers have it.
type logPage struct {
	consoleFrame
	Head      string
	Verifiers []verifierLine
	Behind    int // verifiers that have not applied all of the log
	Entries   []auditLine
	Next      string
}

// verifierLine is a verifier in words.
type verifierLine struct {
	api.Verifier
	Called, Age, Bound string
	Behind             bool
}

// Events are the entries of the page.
func (p logPage) Events() events { return events{true, p.Entries, true} }

// State is what the verifier knows.
func (l verifierLine) State() string {
	switch {
	case !l.Following:
		return "gone"
	case l.Verifier.StalenessMS > l.BoundMS:
		return "stale"
	case l.Behind:
		return "behind"
	}
	return "up to date"
}

// Well reports whether nobody needs to look after the verifier.
func (l verifierLine) Well() bool { return l.Following && l.StalenessMS <= l.BoundMS }

// Part is how much of the bound is used up, in hundredths.
func (l verifierLine) Part() int {
	if l.BoundMS <= 0 || l.StalenessMS >= l.BoundMS {
		return 100
	}
	return int(100 * l.StalenessMS / l.BoundMS)
}

func verifierLines(all api.Verifiers) (lines []verifierLine, behind int) {
	for _, f := range all.Verifiers {
		l := verifierLine{
			Verifier: f, Called: cmp.Or(f.Client, "in this server"), Age: short(f.StalenessMS), Bound: short(f.BoundMS),
			Behind: f.Cursor.Epoch != all.Head.Epoch || f.Cursor.Before(all.Head),
		}
		if l.Behind && l.Following {
			behind++
		}
		lines = append(lines, l)
	}
	return lines, behind
}

// inUTC is a time in a sentence.
func inUTC(t time.Time) string { return t.UTC().Format("2 Jan 2006, 15:04 UTC") }

// short is a time of so many milliseconds, with two digits.
func short(ms int64) string {
	switch d := time.Duration(ms) * time.Millisecond; {
	case d < time.Second:
		return strconv.FormatInt(ms, 10) + " ms"
	case d < 10*time.Second:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	case d < 2*time.Minute:
		return strconv.Itoa(int(d/time.Second)) + " s"
	case d < 2*time.Hour:
		return strconv.Itoa(int(d/time.Minute)) + " min"
	}
	return strconv.Itoa(int(time.Duration(ms)*time.Millisecond/time.Hour)) + " h"
}

func (v *visit) log() error {
	query := v.listing(consolePage)
	following, list := get(at("verifiers"), nil), get(at("audit"), query)
	var revoking []string
	for _, a := range audit.Revoking() {
		revoking = append(revoking, string(a))
	}
	query.Set("action", strings.Join(revoking, ","))
	query.Set("log", "true")
	var who api.Verifiers
	var all api.AuditPage
	reads := []read{{following, &who}}
	if v.may(rights.Audit) {
		reads = append(reads, read{list, &all})
	}
	f, err := v.pageOf([]string{"log"}, "Revocations", reads...)
	if err != nil {
		return err
	}
	query.Del("action")
	query.Del("log")
	page := logPage{consoleFrame: f, Head: who.Head.String(), Entries: v.auditLines(all), Next: v.nextPage(query, all.Next)}
	page.Verifiers, page.Behind = verifierLines(who)
	return v.render(http.StatusOK, "console_log.html", &page)
}

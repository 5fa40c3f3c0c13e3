package server

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"golang.org/x/text/language"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/accounts"
	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/mail"
	"github.com/counterfoil/counterfoil/monitor"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

// LagBars are x, y and height of each bar of the plot of the lag.
func LagBars(each []float64) (bars [][3]int) {
	for _, b := range lagBars(each) {
		bars = append(bars, [3]int{b.X, b.Y, b.Height})
	}
	return bars
}

// AdminPatterns are the routes that only administrators may use.
func (s *Server) AdminPatterns() []string { return slices.Sorted(maps.Keys(s.adminRoutes())) }

// Beat sets how often streams look at who reads them.
func (s *Server) Beat(d time.Duration) { s.beat = d }

// SendNow tells a channel of an event past the outbox.
func (e *Embedded) SendNow(ctx context.Context, c monitor.Channel, of monitor.Event) error {
	return e.watching.sender.Send(ctx, c, of)
}

// Alerts are the records by which this node tells people of an event.
func (e *Embedded) Alerts(of monitor.Event) ([]store.Record, error) { return e.watching.alerts(of) }

// Administered are the parts of the server that somebody who administers changes.
func (e *Embedded) Administered() []any {
	return []any{e.users, e.issuer, e.issuer.Clients(), e.outbox, e.watching.Monitor, e.watching.keeper}
}

// RightOf is the right that a route of the administration needs.
func (s *Server) RightOf(pattern string) rights.Right { return s.adminRoutes()[pattern].right }

// PagePatterns are the routes for people.
func (s *Server) PagePatterns() []string { return slices.Sorted(maps.Keys(s.pageRoutes())) }

// ProgramPatterns are all routes for programs.
func (s *Server) ProgramPatterns() []string {
	all := slices.Concat(slices.Collect(maps.Keys(s.apiRoutes())), slices.Collect(maps.Keys(s.oauthRoutes())), s.AdminPatterns())
	slices.Sort(all)
	return all
}

// ConsolePatterns are the routes of the console.
func (s *Server) ConsolePatterns() []string { return slices.Sorted(maps.Keys(s.consoleRoutes())) }

// Curl is a call of the administration API as a command.
func Curl(method, server string, path []string, body any) (string, error) {
	return call{Method: method, Path: at(path...), Body: body}.curl(server)
}

// MinutesKept is for how many minutes the server keeps what happened.
func (s *Server) MinutesKept() int {
	s.stats.mu.Lock()
	defer s.stats.mu.Unlock()
	return len(s.stats.minutes)
}

// Patterns are all routes.
func (s *Server) Patterns() []string { return append(s.ProgramPatterns(), s.PagePatterns()...) }

// Body has a member of each kind that the bodies of the API have.
type Body struct {
	Inner
	Text   string       `json:"text"`
	Secret api.Hidden   `json:"secret"`
	Number float64      `json:"number"`
	Flag   bool         `json:"flag"`
	List   []string     `json:"list"`
	Scope  source.Scope `json:"scope"`
	Maybe  *string      `json:"maybe"`
}

// Inner is part of it.
type Inner struct {
	Part string `json:"part"`
}

// ReadBody reads the body of r, or says how it is refused.
func ReadBody(w http.ResponseWriter, r *http.Request) (Body, *source.Problem) {
	var b Body
	err := limited(maxBody, func(_ http.ResponseWriter, r *http.Request) error { return readJSON(r, &b) })(w, r)
	if err != nil {
		return Body{}, explain(err, counterfoil.Header)
	}
	return b, nil
}

// MaxOf is how many bytes a field may have.
func MaxOf(name string) int { return maxOf(name) }

// TextLength is the length of a JSON string without its quotes.
func TextLength(text []byte) int { return textLength(string(text)) }

// Duration is what a page says of a time to wait.
func Duration(d time.Duration) string {
	l, err := readTongue(language.English)
	if err != nil {
		panic(err)
	}
	text, err := l.html(duration(d))
	if err != nil {
		panic(err)
	}
	return string(text)
}

// AccentStyle is the end of the style sheet for an accent.
func AccentStyle(accent string) string { return accentStyle(accent) }

// Contrast of two colours, written as #rrggbb.
func Contrast(a, b string) float64 {
	x, errX := parseColour(a)
	y, errY := parseColour(b)
	if errX != nil || errY != nil {
		panic(a + " " + b)
	}
	return contrast(x, y)
}

// Shares are the bars of a plot of numbers: name, number and part.
func Shares(all map[string]int) (bars []string) {
	for _, b := range shares(all) {
		bars = append(bars, fmt.Sprint(b.Name, " ", b.Count, " ", b.Part))
	}
	return bars
}

// Columns are the bars of the plot of the last hour: place, logins, refused, base and top.
func Columns(minutes []api.EventMinute, now time.Time) (bars [][5]int, most int) {
	all, most := columns(minutes, now)
	for _, c := range all {
		bars = append(bars, [5]int{c.X, c.Logins, c.Refused, c.Base, c.Top})
	}
	return bars, most
}

// VerifierLines are what the console says of verifiers: the state of each, whether all is well with it and
// how much of its bound is used up; and how many are behind.
func VerifierLines(all api.Verifiers) (says []string, behind int) {
	lines, behind := verifierLines(all)
	for _, l := range lines {
		says = append(says, fmt.Sprint(l.Called, ": ", l.State(), " ", l.Well(), " ", l.Part()))
	}
	return says, behind
}

// MadeKeys are the keys of texts that are put together in the code.
func MadeKeys() (all []string) {
	for _, p := range []string{"internal", "unavailable", "busy", "too-many-attempts", "forbidden", "cross-origin", "not-found", "too-many-cookies", "too-large",
		"unknown-client", "client-disabled", "step-up", "login-refused", "login-over", "invitation-used", "identifier-taken", "code-wrong", "code-over", "link-over", "no-mail",
		"password-text", "password-short", "password-long", "password-name", "password-guessed"} {
		all = append(all, "problem."+p)
	}
	for _, status := range []string{"400", "403", "404", "429", "503"} {
		all = append(all, "wrong.title."+status)
	}
	for _, c := range []string{"cookie", "bearer", "jwt-cookie", "jwe", "jwe-cookie"} {
		all = append(all, "carrier."+c)
	}
	for _, a := range issuer.OwnActions {
		all = append(all, "activity."+string(a))
	}
	for _, by := range []string{"administrator", "program", "server", "unknown"} {
		all = append(all, "activity.by."+by)
	}
	for _, d := range []deed{passwordChanged, passwordSet, sessionEnded, sessionGone, grantEnded, grantGone, hostEnded, hostGone, ownEnded, othersEnded, noticeDismissed, leftHere, actingEnded, addressVerified, addressChanged,
		userChanged, userDisabled, userEnabled, userEnded, userDeleted, undosEnded, sessionRevoked, sessionsGone, clientSet, clientEnded, clientDeleted, apiKeyDeleted, keyRotated, keyRevoked, letterAgain, letterDropped, checkMuted, checkUnmuted, incidentMade, noteAdded, channelWorks} {
		all = append(all, "done."+string(d))
	}
	for _, c := range []condition{works, broken, flaps, maintained, unknown} {
		all = append(all, "status."+string(c), "status.all."+string(c))
	}
	for _, r := range []monitor.Reason{monitor.Unreachable, monitor.TimedOut, monitor.BadTLS, monitor.BadStatus, monitor.BadBody, monitor.Slow, monitor.Silent, monitor.Reported, monitor.BadSignIn, monitor.NotRefused, monitor.Unchecked, monitor.Unsure} {
		all = append(all, "status.reason."+string(r))
	}
	return all
}

// PostBy makes mails of messages.
func PostBy(url string, m *mail.Sender) accounts.Post { return post{url, m} }

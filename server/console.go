package server

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/counterfoil/counterfoil/accounts"
	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/rights"
)

// The console at /admin is a client of the administration API, in pages. It decides nothing: each page
// makes calls of the API with the credential of the visitor, and shows the answers. The files console*.go
// use no other part of the server than these calls (a test holds that).

// visit is one request for a page of the console.
type visit struct {
	s       *Server
	w       http.ResponseWriter
	r       *http.Request
	session api.Session   // of the visitor
	asked   *http.Request // r as it came: calls are made while a form is read from r
	request string        // id of r
	name    string        // of the visitor; read it after naming
	naming  beside

	mu sync.Mutex // guards the header of w while calls are made side by side
}

// consoleFrame is what every page of the console has.
type consoleFrame struct {
	frame
	base  string   // path of the issuer
	Curls []string // the calls of this page, as commands
	Scope string   // of an API key that may make all of them; empty: see ByPerson

	Audit, Revoke, Write bool // rights that the visitor has

	ByPerson bool // the calls take the session of an administrator, see call
}

// parts are the entries of the navigation.
func (v *visit) parts() []navLink {
	all := []navLink{
		{inConsole(), plain("Overview")}, {inConsole("users"), plain("Users")}, {inConsole("sessions"), plain("Sessions")}, {inConsole("clients"), plain("Clients")}, {inConsole("apikeys"), plain("API keys")},
		{inConsole("keys"), plain("Signing keys")}, {inConsole("log"), plain("Revocations")}, {inConsole("monitor"), plain("Monitor")}, {inConsole("outbox"), plain("Outbox")},
	}
	if v.may(rights.Audit) {
		all = append(all, navLink{inConsole("audit"), plain("Audit")})
	}
	return append(all, navLink{inConsole("settings"), plain("Settings")})
}

// Page is the address of a page of the console. Each element is escaped, so an id stays one element.
func (f consoleFrame) Page(elements ...string) string { return f.base + inConsole(elements...) }

// API is the address of a route of the API.
func (f consoleFrame) API(path string) string { return f.base + path }

// inConsole is the path of a page of the console, without that of the issuer.
func inConsole(elements ...string) string {
	path := "/admin"
	for _, e := range elements {
		path += "/" + url.PathEscape(e)
	}
	return path
}

// consoleRoutes are the pages of the console. A form has the same path for GET, which shows it, and for
// POST, which sends it.
func (s *Server) consoleRoutes() map[string]action {
	routes := map[string]action{}
	for pattern, show := range consolePages {
		routes["GET "+pattern] = s.console(show)
	}
	for pattern, f := range consoleForms {
		routes["GET "+pattern] = s.console(func(v *visit) error { return v.show(f, nil) })
		routes["POST "+pattern] = s.console(func(v *visit) error { return v.submit(f) })
	}
	return routes
}

// consolePages read.
var consolePages = map[string]func(*visit) error{
	"/admin":              (*visit).overview,
	"/admin/users":        (*visit).users,
	"/admin/users/{id}":   (*visit).user,
	"/admin/sessions":     (*visit).sessions,
	"/admin/settings":     (*visit).settings,
	"/admin/revoked/{id}": (*visit).revoked,
	"/admin/clients":      (*visit).clients,
	"/admin/clients/{id}": (*visit).client,
	"/admin/apikeys":      (*visit).apiKeys,
	"/admin/keys":         (*visit).keys,
	"/admin/log":          (*visit).log,
	"/admin/outbox":       (*visit).letters,
	"/admin/monitor":      (*visit).monitor,
	"/admin/audit":        (*visit).audit,

	"/admin/monitor/checks/{name}": (*visit).check,
}

// consoleForms change something.
var consoleForms = map[string]consoleForm{
	"/admin/new/user":               {newUser, userInvited},
	"/admin/users/{id}/edit":        {editUser, nil},
	"/admin/users/{id}/invite":      {inviteUser, userInvitedAgain},
	"/admin/users/{id}/disable":     {disableUser, nil},
	"/admin/users/{id}/enable":      {enableUser, nil},
	"/admin/users/{id}/impersonate": {impersonateUser, impersonated},
	"/admin/users/{id}/undos":       {endUndos, nil},
	"/admin/users/{id}/end":         {endUserSessions, nil},
	"/admin/users/{id}/delete":      {deleteUser, nil},
	"/admin/sessions/{sid}/end":     {endSession, nil},
	"/admin/revoke/sessions":        {endSessions, nil},
	"/admin/revoke/found":           {endFound, foundEnding},
	"/admin/new/client":             {newClient, nil},
	"/admin/clients/{id}/edit":      {editClient, nil},
	"/admin/clients/{id}/end":       {endClientSessions, nil},
	"/admin/clients/{id}/delete":    {deleteClient, nil},
	"/admin/new/apikey":             {newAPIKey, apiKeyMade},
	"/admin/apikeys/{id}/delete":    {deleteAPIKey, nil},
	"/admin/keys/rotate":            {rotateKey, nil},
	"/admin/keys/{id}/revoke":       {revokeKey, nil},
	"/admin/audit/verify":           {verifyAudit, auditVerified},
	"/admin/outbox/{id}/redeliver":  {redeliverLetter, nil},
	"/admin/outbox/{id}/drop":       {dropLetter, nil},
	"/admin/new/incident":           {newIncident, nil},

	"/admin/monitor/checks/{name}/mute":   {muteCheck, nil},
	"/admin/monitor/checks/{name}/unmute": {unmuteCheck, nil},
	"/admin/monitor/incidents/{id}/note":  {noteIncident, nil},
	"/admin/monitor/channels/{name}/test": {testChannel, channelTested},
}

// console adapts a page of the console: it needs a visitor who is signed in, and problems of the API are
// shown as a page.
func (s *Server) console(do func(*visit) error) action {
	return func(w http.ResponseWriter, r *http.Request) error {
		v := &visit{s: s, w: w, r: r, asked: r.Clone(r.Context()), request: w.Header().Get(requestHeader)}
		defer v.naming.Wait()
		err := v.send(call{Method: http.MethodGet, Path: "/v1/session"}, &v.session)
		if err == nil && !v.may(rights.Read) {
			return v.refuse(&api.Error{Status: http.StatusForbidden, Title: "This account may not open the console", Detail: "An administrator can give it a role."})
		}
		if err == nil {
			v.naming.do(v.readName)
			err = do(v)
		}
		p := problem(err)
		switch {
		case p == nil:
			return err
		case is(p, "step-up"):
			return v.proveFirst(p)
		case p.Status == http.StatusUnauthorized:
			return v.signInFirst()
		}
		return v.refuse(p)
	}
}

// may reports whether a role of the visitor has a right. It decides what the console offers; what is
// allowed is decided by the API.
func (v *visit) may(right rights.Right) bool {
	return slices.ContainsFunc(accounts.RolesWith(right), func(role string) bool { return slices.Contains(v.session.Roles, role) })
}

// here is the path and query of the page, without the path of the issuer.
func (v *visit) here() string {
	if v.r.Method != http.MethodGet {
		return v.r.URL.EscapedPath()
	}
	return v.r.URL.RequestURI()
}

// signInFirst leads to the sign-in, and back to this page.
func (v *visit) signInFirst() error {
	to := v.s.back(v.r, v.here())
	if v.r.Method == http.MethodGet {
		v.s.seeOther(v.w, to.Link("/login"))
		return nil
	}
	return v.s.askToSignIn(v.w, v.r, http.StatusUnauthorized, to, say("problem.no-session"))
}

// proveFirst has the visitor enter the password again, if the API wants a fresher login, and leads to
// this page.
func (v *visit) proveFirst(p *api.Error) error {
	path := v.s.back(v.r, v.here()).Link("/login")
	separator := "?"
	if strings.Contains(path, "?") {
		separator = "&"
	}
	age := int64(0)
	if p.MaxAge != nil {
		age = *p.MaxAge
	}
	v.s.seeOther(v.w, path+separator+"max_age="+strconv.FormatInt(age, 10))
	return nil
}

// refuse shows a problem of the API as a page.
func (v *visit) refuse(p *api.Error) error {
	f := v.frameAt([]string{"none"}, "That did not work", explained(p))
	return v.render(p.Status, "console_problem.html", &f)
}

// explained says in a sentence what the API has answered.
func explained(p *api.Error) string {
	if p.RetryAfter > 0 {
		return p.Title + ". Try again in " + short(p.RetryAfter.Milliseconds()) + "."
	}
	return sentences(p.Title, p.Detail)
}

// frameAt is the frame of a page in a part of the console. problem may be empty.
func (v *visit) frameAt(part []string, title, problem string) consoleFrame {
	f := consoleFrame{
		frame: frame{Title: plain(title), Layout: onWide, English: true, Who: v.who(), Nav: v.parts(), At: inConsole(part...)}, base: v.s.base,
		Audit: v.may(rights.Audit), Revoke: v.may(rights.Revoke), Write: v.may(rights.Write),
	}
	if v.session.Actor != "" {
		f.Who = "" // the page says who acts
	}
	if problem != "" {
		f.Problem = plain(problem)
	}
	return f
}

// who is what the visitor is called. It is read while the page reads what it shows.
func (v *visit) who() string {
	v.naming.wait()
	return cmp.Or(v.name, v.session.Subject)
}

func (v *visit) readName() {
	var u api.User
	if v.send(get(at("users", v.session.Subject), nil), &u) == nil {
		v.name = inLine(u).Called()
	}
}

// page is frameAt for a page that reads: it says what the form before has done, and shows calls.
func (v *visit) page(part []string, title string, calls ...call) (consoleFrame, error) {
	f := v.frameAt(part, title, "")
	f.Done = v.s.done(v.w, v.r)
	return f, f.show(v.s, calls...)
}

// pageOf makes the calls side by side, and returns the page that shows them.
func (v *visit) pageOf(part []string, title string, reads ...read) (consoleFrame, error) {
	if err := v.sendAll(reads...); err != nil {
		return consoleFrame{}, err
	}
	calls := make([]call, len(reads))
	for n, r := range reads {
		calls[n] = r.call
	}
	return v.page(part, title, calls...)
}

// show has the page print calls as commands, and say who may make them.
func (f *consoleFrame) show(s *Server, calls ...call) error {
	for _, c := range calls {
		line, err := c.curl(s.url)
		if err != nil {
			return err
		}
		f.Curls = append(f.Curls, line)
		if c.ByPerson {
			f.ByPerson = true
			continue
		}
		may := accounts.ScopesWith(s.right(c))
		if len(may) == 0 {
			return fmt.Errorf("console: %s %s is nobody's", c.Method, c.Path)
		}
		if !slices.Contains(may, f.Scope) {
			f.Scope = may[len(may)-1]
		}
	}
	return nil
}

func (v *visit) render(status int, name string, p page) error {
	return v.s.render(v.w, v.r, status, name, p)
}

// listing is the query of a call for a page of a list: those of the parameters of this page that the
// list has, and the size of a page.
func (v *visit) listing(limit int, filters ...string) url.Values {
	query, asked := url.Values{"limit": {strconv.Itoa(limit)}}, v.r.URL.Query()
	for _, name := range append(filters, "cursor") {
		if text := strings.TrimSpace(asked.Get(name)); text != "" {
			query.Set(name, text)
		}
	}
	return query
}

// nextPage is the address of the page of a list that cursor begins, with the same filters. Empty: there
// is none.
func (v *visit) nextPage(query url.Values, cursor string) string {
	if cursor == "" {
		return ""
	}
	next := url.Values{"cursor": {cursor}}
	for name, values := range query {
		if name != "limit" && name != "cursor" && name != "count" {
			next[name] = values
		}
	}
	return v.s.base + v.r.URL.EscapedPath() + "?" + next.Encode()
}

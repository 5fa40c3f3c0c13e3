package server

import (
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/mileusna/useragent"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/store"
)

const accountTitle = "Your sessions"

// accountPage is the visitor's own sessions and password.
type accountPage struct {
	frame
	SignedIn bool
	Name     string
	Sessions []sessionLine
	StepUp   bool   // the login is old: the own session is shown, and the others after a step-up
	Password bool   // the visitor has one here, to step up with
	Others   bool   // there are sessions to end beside this one
	Next     string // cursor of the next page; empty: this is the last
	Notices  []noticeLine
}

// sessionLine is a session in words.
type sessionLine struct {
	ID, Device, Carrier, Client string
	First, Last                 string // addresses
	Created, Seen, Idle, End    string
	Current                     bool
	Damaged                     bool // only ID is known
	Grants                      []grantLine
	Hosts                       []hostLine
}

// grantLine is what another client than the session's own holds of it, in words.
type grantLine struct{ Client, Since, Seen string }

// hostLine is an origin where a browser has a cookie of a session, in words.
type hostLine struct{ ID, Origin, Since, Seen string }

// noticeLine is a notice in words.
type noticeLine struct {
	ID, Time, Device, Address string
	Client                    string // whose grant was ended; empty: the whole session was
	Ended                     int    // sessions that a login beyond the limit ended; 0: it is about a refresh token
	Damaged                   bool   // only ID is known
}

func moment(t time.Time) string { return t.UTC().Format("2 Jan 2006, 15:04 MST") }

// place is an address, or empty if it is not known.
func place(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func line(row issuer.SessionRow, current string) sessionLine {
	if row.Damaged {
		return sessionLine{ID: row.ID, Damaged: true}
	}
	l := sessionLine{
		ID: row.ID, Device: deviceLabel(row.Device), Carrier: carrierInWords(row.Carrier),
		First: place(row.FirstAddress), Last: place(row.LastAddress),
		Created: moment(row.Created), Seen: moment(row.LastSeen), Idle: moment(row.IdleExpires), End: moment(row.AbsoluteExpires),
		Current: row.ID == current,
	}
	if row.Client != clients.Default {
		l.Client = row.Client
	}
	for _, g := range row.Grants {
		if g.Client != row.Client {
			l.Grants = append(l.Grants, grantLine{g.Client, moment(g.Granted), moment(g.LastUsed)})
		}
	}
	for _, h := range row.Hosts {
		l.Hosts = append(l.Hosts, hostLine{h.ID, h.Origin, moment(h.Granted), moment(h.LastUsed)})
	}
	return l
}

func noticed(n issuer.Notice) noticeLine {
	l := noticeLine{ID: n.ID, Ended: n.OverLimit, Damaged: n.Damaged, Time: moment(n.Time), Device: deviceLabel(n.Device), Address: place(n.Address)}
	if n.Grant {
		l.Client = n.Client
	}
	return l
}

// carrierInWords says what c is to somebody who has not heard of carriers.
func carrierInWords(c counterfoil.Carrier) string {
	what := map[counterfoil.Format]string{counterfoil.Opaque: "session id", counterfoil.JWT: "JWT", counterfoil.JWE: "encrypted JWT"}[c.Format]
	if c.Transport == counterfoil.Cookie {
		return what + " in a cookie"
	}
	return what + " in a header"
}

// deviceLabel names a browser for its owner to recognise. It comes from the client and
// proves nothing.
func deviceLabel(agent string) string {
	ua := useragent.Parse(agent)
	switch {
	case ua.Name != "" && ua.OS != "":
		return ua.Name + " on " + ua.OS
	case ua.Name != "":
		return ua.Name
	}
	return "Unknown device"
}

func (s *Server) pageHome(w http.ResponseWriter, r *http.Request) error {
	return s.account(w, r, http.StatusOK, frame{Title: accountTitle, Done: s.done(w, r)})
}

// account shows the visitor's sessions under what f says, or an invitation to
// sign in.
func (s *Server) account(w http.ResponseWriter, r *http.Request, status int, f frame) error {
	session, err := s.signedIn(r)
	switch {
	case signedOut(err):
		s.clearEnded(w, err)
		f.To = s.back(r, r.URL.RequestURI())
		return s.render(w, http.StatusOK, "account.html", accountPage{frame: f})
	case err != nil:
		return err
	}
	return s.accountOf(w, r, status, f, session)
}

func (s *Server) accountOf(w http.ResponseWriter, r *http.Request, status int, f frame, session *counterfoil.Session) error {
	page := accountPage{frame: f, SignedIn: true}
	rows, next, err := s.accountRows(r, session)
	if errors.Is(err, counterfoil.ErrStepUp) {
		page.StepUp = true
		rows, err = s.ownRow(r, session)
	}
	if err != nil {
		return err
	}
	if page.Name, page.Password, err = s.nameOf(r, session); err != nil {
		return err
	}
	notices, err := s.issuer.Notices(r.Context(), session.Subject)
	if err != nil {
		return err
	}
	for _, n := range notices {
		page.Notices = append(page.Notices, noticed(n))
	}
	page.Next = next
	page.Others = next != ""
	for _, row := range rows {
		page.Sessions = append(page.Sessions, line(row, session.ID))
		page.Others = page.Others || row.ID != session.ID
	}
	return s.render(w, status, "account.html", page)
}

// nameOf returns what the visitor is called here, and whether there is a password.
func (s *Server) nameOf(r *http.Request, session *counterfoil.Session) (name string, password bool, err error) {
	user, err := s.users.ByID(r.Context(), session.Subject)
	switch {
	case errors.Is(err, store.ErrNotFound): // a subject of an application's own
		return session.Subject, false, nil
	case err != nil:
		return "", false, err
	}
	return user.Identifier, user.Password != "", nil
}

// accountLimit is how many sessions a page shows: all of them, by the default limit.
const accountLimit = 100

// accountRows returns the sessions of a page, and the cursor of the next one. The first
// page begins with the session that looks; the others follow as they were seen last.
func (s *Server) accountRows(r *http.Request, session *counterfoil.Session) (rows []issuer.SessionRow, next string, err error) {
	page := pageOf{limit: accountLimit}
	if r.Method == http.MethodGet && r.URL.Query().Has("cursor") {
		if page, err = s.readPage(r); err != nil {
			return nil, "", err
		}
		page.limit = accountLimit
	}
	rows, last, err := s.issuer.OwnSessions(r.Context(), session, page.after, page.limit)
	if err != nil {
		return nil, "", err
	}
	rows = slices.DeleteFunc(rows, func(row issuer.SessionRow) bool { return row.ID == session.ID })
	slices.SortFunc(rows, func(a, b issuer.SessionRow) int { return b.LastSeen.Compare(a.LastSeen) })
	if page.after == "" {
		own, err := s.ownRow(r, session)
		if err != nil {
			return nil, "", err
		}
		rows = append(own, rows...)
	}
	return rows, s.next("/", page, last), nil
}

// ownRow returns the session that looks, or nothing if it has just ended.
func (s *Server) ownRow(r *http.Request, session *counterfoil.Session) ([]issuer.SessionRow, error) {
	row, err := s.issuer.Session(r.Context(), session.ID)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return []issuer.SessionRow{*row}, nil
}

func (s *Server) pageSignOut(w http.ResponseWriter, r *http.Request) error {
	if err := s.form(w, r); err != nil {
		return err
	}
	if err := s.signOut(w, r); err != nil && !errors.Is(err, counterfoil.ErrNoCredential) {
		return err
	}
	s.signedOut(w)
	return s.finish(w, "/", leftHere, 0)
}

// pageRevoke ends one session or, if the form names a client or a host, what that holds of it. Another
// page may have ended it before: that is said, and is no error.
func (s *Server) pageRevoke(w http.ResponseWriter, r *http.Request) error {
	session, err := s.own(w, r)
	if err != nil {
		return err
	}
	sid, client, host := r.PostForm.Get("sid"), r.PostForm.Get("client"), r.PostForm.Get("host")
	done, gone := sessionEnded, sessionGone
	switch ended := endedBySubject(w, r, session); {
	case host != "":
		done, gone = hostEnded, hostGone
		err = s.issuer.EndOwnHost(r.Context(), session.Subject, sid, host, ended)
	default:
		if client != "" {
			done, gone = grantEnded, grantGone
		}
		err = s.issuer.EndOwn(r.Context(), session.Subject, sid, client, ended)
	}
	switch {
	case errors.Is(err, store.ErrNotFound):
		return s.finish(w, "/", gone, 0)
	case err != nil:
		return err
	case done == sessionEnded && sid == session.ID:
		s.clearCookies(w)
		return s.finish(w, "/", ownEnded, 0)
	}
	return s.finish(w, "/", done, 0)
}

func (s *Server) pageDismiss(w http.ResponseWriter, r *http.Request) error {
	session, err := s.own(w, r)
	if err != nil {
		return err
	}
	err = s.issuer.Dismiss(r.Context(), session.Subject, r.PostForm.Get("id"))
	if err != nil && !errors.Is(err, store.ErrNotFound) { // another page may have dismissed it
		return err
	}
	return s.finish(w, "/", noticeDismissed, 0)
}

func (s *Server) pageRevokeOthers(w http.ResponseWriter, r *http.Request) error {
	session, err := s.own(w, r)
	if err != nil {
		return err
	}
	receipt, err := s.issuer.EndOthers(r.Context(), session, act(w, r, audit.BySubject(session.Subject), ""))
	if errors.Is(err, counterfoil.ErrStepUp) {
		return s.accountOf(w, r, http.StatusUnauthorized, frame{Title: accountTitle, Problem: "No session was ended: you signed in too long ago.", Focus: "password"}, session)
	}
	if err != nil {
		return err
	}
	return s.finish(w, "/", othersEnded, receipt.Ended)
}

const passwordTitle = "Change your password"

// passwordPage changes the password of the visitor.
type passwordPage struct {
	frame
	Name     string
	Password bool // there is one here
}

// pageChange shows the form. Password managers lead to it (changePasswordAt), so who is signed
// out signs in and comes back.
func (s *Server) pageChange(w http.ResponseWriter, r *http.Request) error {
	session, err := s.signedIn(r)
	switch {
	case signedOut(err):
		s.clearEnded(w, err)
		s.seeOther(w, s.back(r, "/password").Link("/login"))
		return nil
	case err != nil:
		return err
	}
	return s.change(w, r, http.StatusOK, session, frame{})
}

func (s *Server) change(w http.ResponseWriter, r *http.Request, status int, session *counterfoil.Session, f frame) error {
	name, password, err := s.nameOf(r, session)
	if err != nil {
		return err
	}
	f.Title = passwordTitle
	return s.render(w, status, "password.html", passwordPage{f, name, password})
}

func (s *Server) pagePassword(w http.ResponseWriter, r *http.Request) error {
	session, err := s.own(w, r)
	if err != nil {
		return err
	}
	issued, err := s.newPassword(w, r, session, secret.New(r.PostForm.Get("current")), secret.New(r.PostForm.Get("next")))
	if err != nil {
		status, text := s.inWords(w, r, err)
		return s.change(w, r, status, session, frame{Problem: "The password was not changed. " + text, Focus: fieldOf(err, "current", "next")})
	}
	s.setCookies(w, issued)
	return s.finish(w, "/", passwordChanged, 0)
}

// changePasswordAt is where password managers look for the form (W3C, "A Well-Known URL for
// Changing Passwords").
const changePasswordAt = "/.well-known/change-password"

func (s *Server) pageChangeAt(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Location", s.base+"/password")
	w.WriteHeader(http.StatusFound)
	return nil
}

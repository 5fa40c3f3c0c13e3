package server

import (
	"cmp"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/mileusna/useragent"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/accounts"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/store"
)

// accountPage is the visitor's own sessions and password.
type accountPage struct {
	ownFrame
	SignedIn bool
	Sessions sessionList
	Others   bool   // there are sessions to end beside this one
	Next     string // cursor of the next page; empty: this is the last
	First    bool   // this is the first page
	Notices  []noticeLine
}

// ownFrame is what every page of the account has.
type ownFrame struct {
	frame
	StepUp   bool // the login is old: what it may not see is shown after a step-up
	Password bool // the visitor has one here, to step up with
}

// ownPage shows a page of the account to its owner. Who is signed out signs in, and comes back.
func (s *Server) ownPage(w http.ResponseWriter, r *http.Request, show func(*counterfoil.Session, ownFrame) error) error {
	session, err := s.signedIn(r)
	switch {
	case signedOut(err):
		s.clearEnded(w, err)
		s.seeOther(w, s.back(r, r.URL.Path).Link("/login"))
		return nil
	case err != nil:
		return err
	}
	name, password, err := s.nameOf(r, session)
	if err != nil {
		return err
	}
	f := ownFrame{frame: frame{Who: name, To: s.back(r, r.URL.Path)}, Password: password}
	s.ofAccount(&f.frame, r.URL.Path, password, session)
	return show(session, f)
}

// noticeLine is a notice in words: what happened, and more about it.
type noticeLine struct {
	ID      string
	Time    time.Time
	What    said
	More    []said
	Damaged bool // only ID is known
}

// ofAccount makes f a page of the account.
func (s *Server) ofAccount(f *frame, path string, password bool, session *counterfoil.Session) {
	f.Layout, f.At = onPage, path
	f.Nav = []navLink{{"/", say("nav.sessions")}, {"/activity", say("nav.activity")}, {"/apps", say("nav.apps")}}
	if password {
		f.Nav = append(f.Nav, navLink{"/password", say("nav.password")})
	}
	if s.users.Mails() {
		f.Nav = append(f.Nav, navLink{"/address", say("nav.address")})
	}
	if slices.ContainsFunc(session.Roles, accounts.Administers) {
		f.Nav = append(f.Nav, navLink{inConsole(), say("page.console")})
	}
}

// place is an address, or empty if it is not known.
func place(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func noticed(n issuer.Notice, called func(client string) string) noticeLine {
	l := noticeLine{ID: n.ID, Time: n.Time, Damaged: n.Damaged}
	device, address := deviceSaid(n.Device), place(n.Address)
	switch {
	case n.Damaged:
		l.What = say("notice.damaged")
	case n.By != "":
		l.What = say("notice.impersonation", n.ByName, n.Time)
		l.More = []said{say("notice.impersonation-why", n.Reason), say("notice.impersonation-end")}
	case n.OverLimit > 0:
		l.What = sayCount("notice.limit", n.OverLimit, n.Time)
		if address != "" {
			l.More = append(l.More, say("notice.limit-from", address))
		}
		l.More = append(l.More, sayCount("notice.limit-device", n.OverLimit, device))
	default:
		l.What = say("notice.reuse", n.Time)
		if n.Grant {
			l.What = say("notice.reuse-app", called(n.Client), n.Time)
		}
		why := say("notice.reuse-why")
		if address != "" {
			why = say("notice.reuse-why-from", address)
		}
		l.More = []said{why, say("notice.reuse-device", device)}
	}
	return l
}

// carrierInWords says what c is to somebody who has not heard of carriers.
func carrierInWords(c counterfoil.Carrier) said {
	key := map[counterfoil.Format]string{counterfoil.JWT: "bearer", counterfoil.JWE: "jwe"}[c.Format]
	if c.Transport == counterfoil.Cookie {
		key = map[counterfoil.Format]string{counterfoil.Opaque: "cookie", counterfoil.JWT: "jwt-cookie", counterfoil.JWE: "jwe-cookie"}[c.Format]
	}
	return say("carrier." + cmp.Or(key, "bearer"))
}

// deviceOf finds the browser and the system in what a client says of itself. It proves nothing.
func deviceOf(agent string) (name, system string) {
	ua := useragent.Parse(agent)
	return ua.Name, ua.OS
}

// deviceLabel names a browser for its owner to recognise.
func deviceLabel(agent string) string {
	switch name, system := deviceOf(agent); {
	case name == "":
		return "Unknown device"
	case system == "":
		return name
	default:
		return name + " on " + system
	}
}

// deviceSaid is deviceLabel in the language of the page.
func deviceSaid(agent string) said {
	switch name, system := deviceOf(agent); {
	case name == "":
		return say("device.unknown")
	case system == "":
		return plain(name)
	default:
		return say("device.on", name, system)
	}
}

func (s *Server) pageHome(w http.ResponseWriter, r *http.Request) error {
	return s.account(w, r, http.StatusOK, frame{Title: say("account.title"), Done: s.done(w, r)})
}

// account shows the visitor's sessions under what f says, or an invitation to
// sign in.
func (s *Server) account(w http.ResponseWriter, r *http.Request, status int, f frame) error {
	session, err := s.signedIn(r)
	switch {
	case signedOut(err):
		s.clearEnded(w, err)
		f.To = s.back(r, r.URL.RequestURI())
		return s.render(w, r, http.StatusOK, "account.html", &accountPage{ownFrame: ownFrame{frame: f}})
	case err != nil:
		return err
	}
	return s.accountOf(w, r, status, f, session)
}

func (s *Server) accountOf(w http.ResponseWriter, r *http.Request, status int, f frame, session *counterfoil.Session) error {
	page := accountPage{ownFrame: ownFrame{frame: f}, SignedIn: true, First: r.Method != http.MethodGet || !r.URL.Query().Has("cursor")}
	rows, next, err := s.accountRows(r, session)
	if errors.Is(err, counterfoil.ErrStepUp) {
		page.StepUp = true
		rows, err = s.ownRow(r, session)
	}
	if err != nil {
		return err
	}
	if page.Who, page.Password, err = s.nameOf(r, session); err != nil {
		return err
	}
	if s.ofAccount(&page.frame, "/", page.Password, session); !page.Password {
		page.Focus = "" // there is no field
	}
	notices, err := s.issuer.Notices(r.Context(), session.Subject)
	if err != nil {
		return err
	}
	called := s.clientNames(r.Context())
	for _, n := range notices {
		page.Notices = append(page.Notices, noticed(n, called))
	}
	page.Next = next
	page.Others = next != ""
	page.Sessions.Shown = sessionsFirst
	for _, row := range rows {
		page.Sessions.Lines = append(page.Sessions.Lines, ownLine(row, session.ID, called))
		page.Others = page.Others || row.ID != session.ID
	}
	return s.render(w, r, status, "account.html", &page)
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

// accountLimit is how many sessions a page shows: with their texts they are less than 60 KiB.
const accountLimit = 40

// accountRows returns the sessions of a page, and the cursor of the next one. The first
// page begins with the session that looks; the others follow as they were seen last.
func (s *Server) accountRows(r *http.Request, session *counterfoil.Session) (rows []issuer.SessionRow, next string, err error) {
	page, err := s.turned(r, accountLimit)
	if err != nil {
		return nil, "", err
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

// turned returns which part of a list a page shows: the first one, or the one that its cursor leads to.
func (s *Server) turned(r *http.Request, limit int) (p pageOf, err error) {
	if r.Method == http.MethodGet && r.URL.Query().Has("cursor") {
		p, err = s.readPage(r)
	}
	p.limit = limit
	return p, err
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
	acted, err := s.signOut(w, r)
	if err != nil && !errors.Is(err, counterfoil.ErrNoCredential) {
		return err
	}
	s.signedOut(w)
	if acted {
		return s.finish(w, "/", actingEnded, 0)
	}
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
	done, gone, page := sessionEnded, sessionGone, "/"
	if r.PostForm.Get("page") == "apps" {
		page = "/apps"
	}
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
		return s.finish(w, page, gone, 0)
	case err != nil:
		return err
	case done == sessionEnded && sid == session.ID:
		s.clearCookies(w)
		return s.finish(w, "/", ownEnded, 0)
	}
	return s.finish(w, page, done, 0)
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
	receipt, err := s.users.EndOthers(r.Context(), session, act(w, r, audit.BySubject(session.Subject), ""))
	if errors.Is(err, counterfoil.ErrStepUp) {
		return s.accountOf(w, r, http.StatusUnauthorized, frame{Title: say("account.title"), Problem: say("problem.none-ended"), Focus: "password"}, session)
	}
	if err != nil {
		return err
	}
	return s.finish(w, "/", othersEnded, receipt.Ended)
}

// passwordPage changes the password of the visitor.
type passwordPage struct {
	frame
	Password bool // there is one here
}

// pageChange shows the form. Password managers lead to it (changePasswordAt).
func (s *Server) pageChange(w http.ResponseWriter, r *http.Request) error {
	return s.ownPage(w, r, func(session *counterfoil.Session, _ ownFrame) error {
		return s.change(w, r, http.StatusOK, session, frame{})
	})
}

func (s *Server) change(w http.ResponseWriter, r *http.Request, status int, session *counterfoil.Session, f frame) error {
	name, password, err := s.nameOf(r, session)
	if err != nil {
		return err
	}
	f.Title, f.Who = say("password.title"), name
	s.ofAccount(&f, "/password", password, session)
	return s.render(w, r, status, "password.html", &passwordPage{f, password})
}

func (s *Server) pagePassword(w http.ResponseWriter, r *http.Request) error {
	session, err := s.own(w, r)
	if err != nil {
		return err
	}
	issued, err := s.newPassword(w, r, session, secret.New(r.PostForm.Get("current")), secret.New(r.PostForm.Get("next")))
	if err != nil {
		status, text := s.refused(w, r, err)
		if errors.Is(err, login.ErrRefused) {
			text = say("problem.current-wrong")
		}
		return s.change(w, r, status, session, frame{Problem: say("password.unchanged", text), Focus: fieldOf(err, "current", "next")})
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

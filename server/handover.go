package server

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/internal/urls"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/source"
)

const (
	handoverPath = "/handover"
	callbackPath = "/.counterfoil/callback" // of a gateway, at each host that it protects
)

// handover is what a gateway asks of [Server.pageHandover].
type handover struct {
	callback clients.ReturnTo // of the gateway, at an origin that the client lists
	client   string
}

// handover reads the parameters client and origin: the rule of where a sign-in may lead holds for
// the page of the gateway.
func (s *Server) handover(r *http.Request, query url.Values) (handover, error) {
	for _, name := range []string{"client", "origin", "challenge", "state"} {
		if len(query[name]) > 1 {
			return handover{}, badRequest("parameter %q is given twice", name)
		}
	}
	h := handover{client: query.Get("client")}
	if h.client == "" {
		h.client = clients.Default
	}
	var err error
	h.callback, err = s.issuer.Clients().ReturnTo(r.Context(), h.client, query.Get("origin")+callbackPath, s.origins[0])
	if errors.Is(err, clients.ErrReturnTo) || err == nil && (h.callback.Origin() == "" || h.callback.Origin() != query.Get("origin")) { // this host has no gateway of its own
		err = notToSite(query.Get("origin"), err)
	}
	return h, err
}

// notToSite says why a sign-in may not lead to the gateway at origin. It does not repeat the origin, which
// anybody may have sent.
func notToSite(origin string, cause error) error {
	detail := "Its origin is none that the client lists: an administrator adds it with counterfoil client set --origin."
	if _, err := urls.Origin(origin); err != nil {
		detail = "Its origin is no URL of a site."
	}
	return &source.Problem{Status: http.StatusBadRequest, Type: "bad-request", Title: "A sign-in may not lead to this site", Detail: detail, Cause: cause}
}

// handoverIn is the handover that page leads to; nil if it is not our page for that.
func (s *Server) handoverIn(r *http.Request, page clients.ReturnTo) (*handover, error) {
	query, found := strings.CutPrefix(strings.TrimPrefix(page.String(), s.origins[0]), s.base+handoverPath+"?")
	if !found {
		return nil, nil
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, badRequest("the parameters of the page that return_to names are malformed")
	}
	h, err := s.handover(r, values)
	return &h, err
}

// pageHandover gives the browser a code for a cookie of its session at another host, and leads it
// to the gateway there, which asked for that. Who is not signed in is led to the sign-in first.
// It answers no browser that only looks ahead: the code would be in a cache.
func (s *Server) pageHandover(w http.ResponseWriter, r *http.Request) error {
	if r.Method == http.MethodHead || r.Header.Get("Sec-Purpose") != "" {
		return &source.Problem{Status: http.StatusForbidden, Type: "not-a-visit", Title: "This page is for people who open it"}
	}
	query := r.URL.Query()
	h, err := s.handover(r, query)
	if err != nil {
		return err
	}
	state := query.Get("state")
	if strings.ContainsFunc(state, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return badRequest("state is printable ASCII")
	}
	session, err := s.visiting(r)
	if signedOut(err) || errors.Is(err, counterfoil.ErrForbidden) || err == nil && (session.Client != h.client || session.Carrier.Transport != counterfoil.Cookie) {
		to := destination{Client: h.client, ReturnTo: s.back(r, handoverPath+"?"+r.URL.RawQuery).ReturnTo}
		if to.ReturnTo.String() == "" {
			return badRequest("state is too long")
		}
		s.clearEnded(w, err)
		s.seeOther(w, to.Link("/login"))
		return nil
	}
	if err != nil {
		return err
	}
	code, err := s.issuer.HandOver(r.Context(), session, issuer.Handover{
		Client: h.client, Origin: h.callback.Origin(), Challenge: query.Get("challenge"), Act: act(w, r, audit.BySubject(cmp.Or(session.Actor, session.Subject)), ""),
	})
	if err != nil {
		return err
	}
	w.Header().Set("Location", h.callback.String()+"?"+url.Values{"code": {code.Reveal()}, "state": {state}}.Encode())
	w.WriteHeader(http.StatusSeeOther)
	return nil
}

// redeemCode gives a gateway the cookie that a code is good for.
func (s *Server) redeemCode(w http.ResponseWriter, r *http.Request) error {
	var b api.Handover[api.Hidden]
	if err := readJSON(r, &b); err != nil {
		return err
	}
	key, err := s.key(r, directory.ScopeHandover)
	if err != nil {
		return err
	}
	issued, err := s.users.RedeemCode(r.Context(), issuer.Redemption{
		Client: b.Client, Origin: b.Origin, Code: secret.New(b.Code.Reveal()), Verifier: secret.New(b.Verifier.Reveal()), Replaces: secret.New(b.Replaces.Reveal()),
		Act: act(w, r, audit.ByKey(key.Client), ""),
	}, &key)
	if errors.Is(err, counterfoil.ErrInvalidToken) { // the caller is who it says: it is the code that is not good
		return &source.Problem{Status: http.StatusBadRequest, Type: "invalid-code", Title: "The code is not good", Cause: err}
	}
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, api.HandedOver{
		Credential: issued.Access.Reveal(), ExpiresIn: int64(issued.ExpiresIn / time.Second), SameSite: issued.SameSite,
	})
}

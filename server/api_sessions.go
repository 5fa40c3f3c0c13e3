package server

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/source"
)

// adminCreateSession makes a session for a subject that the caller has authenticated
// itself. Tokens are always in the body: the caller is a program that hands them on.
func (s *Server) adminCreateSession(w http.ResponseWriter, r *http.Request, who caller) error {
	var b api.NewSession
	if err := readJSON(r, &b); err != nil {
		return err
	}
	c, err := carrierOf(b.Carrier)
	if err != nil {
		return err
	}
	if b.Subject == "" {
		return badRequest("subject is missing")
	}
	ask := sessionRequest(r, c, b.Client, act(w, r, who.by, ""))
	ask.Scopes = strings.Fields(b.Scope)
	issued, err := s.users.SignIn(r.Context(), who.actor, b.Subject, b.Roles, ask, who.key)
	if errors.Is(err, issuer.ErrProveAgain) { // the caller is who it says: it is the subject that may not
		return &source.Problem{Status: http.StatusConflict, Type: "subject-disabled", Title: "The subject is disabled, or was changed meanwhile", Cause: err}
	}
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusCreated, inBody(issued))
}

func (s *Server) adminRevoke(w http.ResponseWriter, r *http.Request, who caller) error {
	var b api.Revocation
	if err := readJSON(r, &b); err != nil {
		return err
	}
	if b.Filter != nil {
		return s.adminRevokeFound(w, r, who, b)
	}
	if b.DryRun || b.Token != "" || b.AtMost != 0 {
		return badRequest("dry_run, token and at_most go with filter")
	}
	if b.Wait != "" && b.Wait != api.WaitAll {
		return badRequest("wait is \"all\" or absent")
	}
	receipt, err := s.users.Revoke(r.Context(), who.actor, b.Scope, b.ID, act(w, r, who.by, b.Reason))
	if err != nil {
		return err
	}
	answer := viewReceipt(receipt)
	if b.Wait == api.WaitAll {
		// The revocation is durable whatever comes of the waiting: an error here
		// says "not confirmed", never "not revoked".
		confirmed, err := s.issuer.Feed().WaitAll(r.Context(), receipt.At)
		answer.Confirmed = confirmed && err == nil
		for _, id := range s.issuer.Feed().StaleVerifiers() {
			if len(answer.NotWaitedFor) == api.MaxNotWaitedFor {
				answer.NotWaitedForMore++
				continue
			}
			answer.NotWaitedFor = append(answer.NotWaitedFor, follower(id, "").ID)
		}
	}
	verifiers, bound := s.issuer.Feed().Following()
	answer.Verifiers, answer.BoundMS = verifiers, bound.Milliseconds()
	return writeJSON(w, http.StatusOK, answer)
}

// adminWouldEnd counts what a revocation would end.
func (s *Server) adminWouldEnd(w http.ResponseWriter, r *http.Request, _ caller) error {
	page, err := s.readPage(r, "scope", "id")
	if err != nil {
		return err
	}
	ending, next, err := s.issuer.WouldEnd(r.Context(), source.Scope(page.filter.Get("scope")), page.filter.Get("id"), page.after, page.limit)
	if err != nil {
		return missing(err)
	}
	return writeJSON(w, http.StatusOK, api.Ending{Sessions: ending.Sessions, Grants: ending.Grants, Next: s.next(r.URL.Path, page, next)})
}

func viewReceipt(at issuer.Receipt) api.Receipt {
	return api.Receipt{Epoch: fmt.Sprintf("%016x", at.At.Epoch), Seq: at.At.Seq, Cursor: at.At, CommittedAt: at.CommittedAt.UTC()}
}

func (s *Server) adminSession(w http.ResponseWriter, r *http.Request, _ caller) error {
	sid, err := pathID(r, "sid")
	if err != nil {
		return err
	}
	row, err := s.issuer.Session(r.Context(), sid)
	if err != nil {
		return err
	}
	if row.Damaged {
		return errDamaged
	}
	return writeJSON(w, http.StatusOK, viewRow(*row))
}

func (s *Server) adminEndSession(w http.ResponseWriter, r *http.Request, who caller) error {
	sid, err := pathID(r, "sid")
	if err != nil {
		return err
	}
	receipt, err := s.users.EndSession(r.Context(), who.actor, sid, act(w, r, who.by, "ended by an administrator"))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, viewReceipt(receipt))
}

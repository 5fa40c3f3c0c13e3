package server

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/store"
)

const (
	scopeAdmin    = "admin"
	scopeSessions = "sessions:create"
	scopeFeed     = "revocation:read"
	scopeInspect  = "introspect"
	roleAdmin     = "admin"
)

// caller is who asks for administration.
type caller struct {
	by  string // as audit.Act.By
	all bool   // may do everything
}

// admin lets an administrator through: a session with the role, or an API key
// with one of scopes.
func (s *Server) admin(r *http.Request, scopes ...string) (caller, error) {
	if key, err := s.key(r, scopes...); err == nil {
		return caller{audit.ByKey(key.Client), slices.Contains(key.Scopes, scopeAdmin)}, nil
	} else if !errors.Is(err, counterfoil.ErrNoCredential) && !errors.Is(err, counterfoil.ErrInvalidToken) {
		return caller{}, err
	}
	session, err := s.signedIn(r)
	if err != nil {
		return caller{}, err
	}
	if !session.HasRole(roleAdmin) {
		return caller{}, errForbidden
	}
	return caller{audit.BySubject(session.Subject), true}, nil
}

// adminSession makes a session for a subject that the caller has authenticated
// itself. Tokens are always in the body: the caller is a program that hands them on.
func (s *Server) adminSession(w http.ResponseWriter, r *http.Request) error {
	var b struct {
		Subject string   `json:"subject"`
		Carrier string   `json:"carrier"`
		Client  string   `json:"client"`
		Roles   []string `json:"roles"`
	}
	who, err := s.admin(r, scopeAdmin, scopeSessions)
	if err != nil {
		return err
	}
	if err := readJSON(w, r, &b); err != nil {
		return err
	}
	c, err := carrierOf(b.Carrier)
	if err != nil {
		return err
	}
	if b.Subject == "" {
		return badRequest("subject is missing")
	}
	if !who.all && slices.Contains(b.Roles, roleAdmin) {
		return errForbidden // a key that makes sessions must not make itself an administrator
	}
	rev, err := s.issuer.SubjectRev(r.Context(), b.Subject)
	if err != nil {
		return err
	}
	proof := login.Proof{Subject: b.Subject, Roles: b.Roles, At: s.now(), SubjectRev: rev}
	issued, err := s.issuer.Login(r.Context(), proof, request(r, c, b.Client, act(w, r, who.by, "")))
	if err != nil {
		return err
	}
	if !who.all && issued.Session.HasRole(roleAdmin) {
		// The subject itself is an administrator: the same escalation by another way.
		return errors.Join(errForbidden, s.endByID(r, issued.Session.ID, act(w, r, who.by, "not allowed to make it")))
	}
	return writeJSON(w, http.StatusCreated, inBody(issued))
}

type receiptView struct {
	Epoch       string             `json:"epoch"` // 16 hexadecimal digits: more than a JSON number holds
	Seq         uint64             `json:"seq"`
	Cursor      counterfoil.Cursor `json:"cursor"`
	CommittedAt time.Time          `json:"committed_at"`
	Confirmed   bool               `json:"confirmed"` // every verifier has it; only ever true with wait "all"
}

func (s *Server) adminRevoke(w http.ResponseWriter, r *http.Request) error {
	var b struct {
		Scope  counterfoil.Scope `json:"scope"`
		ID     string            `json:"id"`
		Reason string            `json:"reason"`
		Wait   string            `json:"wait"`
	}
	who, err := s.admin(r, scopeAdmin)
	if err != nil {
		return err
	}
	if err := readJSON(w, r, &b); err != nil {
		return err
	}
	switch b.Scope {
	case counterfoil.ScopeSession, counterfoil.ScopeToken, counterfoil.ScopeSubject, counterfoil.ScopeClient,
		counterfoil.ScopeKey, counterfoil.ScopeAll:
	default:
		return badRequest("scope %q is not known", b.Scope)
	}
	if (b.ID == "") != (b.Scope == counterfoil.ScopeAll) {
		return badRequest("id is wanted for every scope but \"all\"")
	}
	if b.Wait != "" && b.Wait != "all" {
		return badRequest("wait is \"all\" or absent")
	}
	receipt, err := s.issuer.Revoke(r.Context(), b.Scope, b.ID, act(w, r, who.by, b.Reason))
	if err != nil {
		return err
	}
	answer := receiptView{
		Epoch: fmt.Sprintf("%016x", receipt.At.Epoch), Seq: receipt.At.Seq, Cursor: receipt.At, CommittedAt: receipt.CommittedAt.UTC(),
	}
	if b.Wait == "all" {
		// The revocation is durable whatever comes of the waiting: an error here
		// says "not confirmed", never "not revoked".
		confirmed, err := s.issuer.WaitAll(r.Context(), receipt.At)
		answer.Confirmed = confirmed && err == nil
	}
	return writeJSON(w, http.StatusOK, answer)
}

// endByID ends one session; one that is gone already has ended.
func (s *Server) endByID(r *http.Request, sid string, a audit.Act) error {
	_, err := s.issuer.Revoke(r.Context(), counterfoil.ScopeSession, sid, a)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

package plain

import (
	"context"
	"net/http"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/alexedwards/scs/v2/memstore"
)

// Sessions are server-side sessions of scs, with its defaults: an HttpOnly cookie with
// SameSite=Lax, and a life of 24 hours.
type Sessions struct{ manager *scs.SessionManager }

// NewSessions keeps sessions in s; nil: in the memory of the process.
func NewSessions(s Store, cookie string) *Sessions {
	m := scs.New()
	m.Store = memstore.New()
	if s != nil {
		m.Store = &sessionStore{s}
	}
	m.Cookie.Name = cookie
	m.ErrorFunc = func(w http.ResponseWriter, _ *http.Request, _ error) { // a store that is down is no logout
		http.Error(w, "the session store cannot be reached", http.StatusServiceUnavailable)
	}
	return &Sessions{m}
}

// Login makes a session, and returns the value of its cookie.
func (s *Sessions) Login(ctx context.Context, subject string) (id string, err error) {
	ctx, err = s.manager.Load(ctx, "")
	if err != nil {
		return "", err
	}
	s.manager.Put(ctx, "subject", subject)
	s.manager.Put(ctx, "role", "staff")
	id, _, err = s.manager.Commit(ctx)
	return id, err
}

// Logout ends a session.
func (s *Sessions) Logout(ctx context.Context, id string) error {
	ctx, err := s.manager.Load(ctx, id)
	if err != nil {
		return err
	}
	return s.manager.Destroy(ctx)
}

// Renew gives the session another id, as a refresh does with a token.
func (s *Sessions) Renew(next http.Handler) http.Handler {
	return s.Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := s.manager.RenewToken(r.Context()); err != nil {
			s.manager.ErrorFunc(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	}))
}

// Require lets requests with a session through.
func (s *Sessions) Require(next http.Handler) http.Handler {
	return s.manager.LoadAndSave(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		subject := s.manager.GetString(r.Context(), "subject")
		if subject == "" {
			http.Error(w, "sign in", http.StatusUnauthorized)
			return
		}
		admit(next, w, r, subject)
	}))
}

// sessionStore is an scs.CtxStore on a Store.
type sessionStore struct{ s Store }

var _ scs.CtxStore = (*sessionStore)(nil)

func (s *sessionStore) FindCtx(ctx context.Context, id string) ([]byte, bool, error) {
	return s.s.Get(ctx, SessionTable, id)
}

func (s *sessionStore) CommitCtx(ctx context.Context, id string, b []byte, expiry time.Time) error {
	return s.s.Put(ctx, SessionTable, id, b, expiry)
}

func (s *sessionStore) DeleteCtx(ctx context.Context, id string) error {
	return s.s.Delete(ctx, SessionTable, id)
}

// Find implements scs.Store, which scs does not call.
func (s *sessionStore) Find(id string) ([]byte, bool, error) {
	return s.FindCtx(context.Background(), id)
}

// Commit implements scs.Store, which scs does not call.
func (s *sessionStore) Commit(id string, b []byte, expiry time.Time) error {
	return s.CommitCtx(context.Background(), id, b, expiry)
}

// Delete implements scs.Store, which scs does not call.
func (s *sessionStore) Delete(id string) error { return s.DeleteCtx(context.Background(), id) }

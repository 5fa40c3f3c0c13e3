package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/request"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/source"
)

// errKey means that a program did not say who it is.
var errKey = fmt.Errorf("api key: %w", counterfoil.ErrInvalidToken)

// shown is what a request shows of the program that sends it.
type shown struct {
	client string // empty: none is named
	key    string // an API key, which is the secret of its client; empty: none
	bearer bool   // the key came as Bearer, which need not name a client
}

// shows returns what r shows of its program, in one way: client_secret_basic, or
// client_secret_post or client_id alone in a form that [readForm] has read, or an API key as
// Bearer. Two ways at once are refused (RFC 6749 section 2.3). Without bearer, an access token
// that a page adds to each of its requests says nothing about the program.
func shows(r *http.Request, bearer bool) (shown, error) {
	p := shown{client: r.PostForm.Get("client_id"), key: r.PostForm.Get("client_secret")}
	field, err := request.Authorized(r)
	if err != nil {
		return p, err
	}
	scheme, rest := request.Credentials(field)
	basic := strings.EqualFold(scheme, "Basic")
	switch {
	case scheme == "", !basic && !bearer:
		return p, nil
	case p.key != "":
		return p, badRequest("the client shows a secret twice: in Authorization and as client_secret")
	case strings.EqualFold(scheme, "Bearer"):
		return shown{p.client, rest, true}, nil
	case !basic:
		return p, errKey
	}
	client, key, ok := request.Basic(rest)
	switch {
	case !ok:
		return p, errKey
	case p.client != "" && p.client != client:
		return p, badRequest("client_id is not the client in Authorization")
	}
	return shown{client: client, key: key}, nil
}

// authenticate returns the API key that p shows. A secret belongs to a client: the client that is
// named must be the key's.
func (s *Server) authenticate(ctx context.Context, p shown) (directory.APIKey, error) {
	return s.judge(ctx, p, s.users.Authenticate)
}

// judge is authenticate with another way to read the key from the store.
func (s *Server) judge(ctx context.Context, p shown, read func(ctx context.Context, presented string) (directory.APIKey, error)) (directory.APIKey, error) {
	key, err := read(ctx, p.key)
	switch {
	case errors.Is(err, login.ErrRefused):
		return directory.APIKey{}, errKey
	case err != nil:
		return directory.APIKey{}, err
	case p.client != key.Client && !(p.bearer && p.client == ""):
		if ok, _ := s.warned.Allow(key.ID+" name", s.now()); ok { // what was sent may be a secret in the wrong place
			s.log.Warn("an API key was refused: it came with another client's name", "client", key.Client, "key", key.ID, "hint", "the client_id, or the user name of Basic, is the client of the key")
		}
		return directory.APIKey{}, errKey
	}
	if left := key.Expires.Sub(s.now()); !key.Expires.IsZero() && left < warnOfExpiry {
		if ok, _ := s.warned.Allow(key.ID, s.now()); ok {
			s.log.Warn("an API key expires soon", "client", key.Client, "key", key.ID, "expires", key.Expires, "hint", "make another with counterfoil apikey create")
		}
	}
	return key, nil
}

// warnOfExpiry is how long before its end the log warns of a key that is in use: a verifier
// whose key has expired refuses everything.
const warnOfExpiry = 14 * 24 * time.Hour

// key authenticates the caller by an API key that has one of scopes. A session's cookie beside it
// is a second credential (TOK-34), unless there are more cookies than are read.
func (s *Server) key(r *http.Request, scopes ...string) (directory.APIKey, error) {
	return s.keyFrom(r, s.users.Authenticate, scopes)
}

// followerKey is key for a verifier that follows the log. Many ask in each second with the same key: they share
// reads of it, each of which began after those asked whom it answers.
func (s *Server) followerKey(r *http.Request) (directory.APIKey, error) {
	return s.keyFrom(r, func(ctx context.Context, presented string) (directory.APIKey, error) {
		return s.followers.Do(ctx, presented, func(ctx context.Context) (directory.APIKey, error) {
			return s.users.Authenticate(ctx, presented)
		})
	}, []string{directory.ScopeFeed})
}

func (s *Server) keyFrom(r *http.Request, read func(ctx context.Context, presented string) (directory.APIKey, error), scopes []string) (directory.APIKey, error) {
	p, err := shows(r, true)
	if err != nil {
		return directory.APIKey{}, err
	}
	if p.key == "" {
		return directory.APIKey{}, counterfoil.ErrNoCredential
	}
	name, _ := s.cookieNames()
	if _, n, _ := request.Cookies(r, name); n > 0 {
		return directory.APIKey{}, source.ErrMultipleCredentials
	}
	key, err := s.judge(r.Context(), p, read)
	if err != nil {
		return directory.APIKey{}, err
	}
	if !slices.ContainsFunc(scopes, key.Has) {
		return directory.APIKey{}, denied{errForbidden, audit.ByKey(key.Client)}
	}
	return key, nil
}

// clientOf returns the client that sends r, and who that is for the audit trail if it has
// authenticated itself. A public client only names itself. A client that shows a secret must show
// the right one, although it need not show any.
func (s *Server) clientOf(r *http.Request) (id, by string, err error) {
	p, err := shows(r, false)
	if err != nil || p.key == "" {
		return p.client, "", err
	}
	key, err := s.authenticate(r.Context(), p)
	if err != nil {
		return "", "", err
	}
	return key.Client, audit.ByKey(key.Client), nil
}

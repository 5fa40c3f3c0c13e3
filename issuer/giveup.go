package issuer

import (
	"cmp"
	"context"
	"errors"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/source"
)

// GiveUp ends what the holder of a credential gives up (RFC 7009):
//
//   - An access token ends alone, since a refresh token is there to give the login up
//     (RVK-02). Each is an entry that every verifier holds, and a client that makes copies to
//     give them up must not fill their memory (REV-14): beyond 16 in 16 minutes of one session
//     the error is login.Throttled.
//   - The opaque id of a session, also that of a host, and a refresh token end what its client
//     holds.
//   - A refresh token that was used has no effect, once its grace is over: a thief who has an
//     old one must not be able to sign the owner out. Signing out is [Issuer.EndByRefresh].
//
// What is unknown, is over, or belongs to another client than the one named, has no effect
// either, and is no error. An empty client is not compared, nor is that of a damaged session,
// which nobody can read any more.
func (i *Issuer) GiveUp(ctx context.Context, credential, client string, act audit.Act) error {
	s, err := i.Current(ctx, credential)
	if errors.Is(err, counterfoil.ErrInvalidToken) {
		return i.endByRefresh(ctx, credential, client, act, i.unused)
	}
	if errors.Is(err, errDamaged) {
		s, err = i.Held(ctx, credential)
	}
	if err != nil {
		return err
	}
	if client != "" && s.Client != "" && client != s.Client {
		return nil
	}
	if act.By == "" {
		act.By = audit.BySubject(cmp.Or(s.Actor, s.Subject))
	}
	if s.TokenID == "" || isHost(s.TokenID) {
		return i.Logout(ctx, s, act)
	}
	if ok, retry := i.givenUp.Allow(s.ID, i.opts.Now()); !ok {
		return login.Throttled{RetryAfter: retry}
	}
	_, err = i.Revoke(ctx, source.ScopeToken, s.TokenID, act)
	return err
}

// unused reports whether a refresh token is the one that is good now, or the one before it in
// its grace: then the answer that replaced it may have been lost.
func (i *Issuer) unused(token presented, f *family) bool {
	inGrace := token.counter+1 == f.Counter && !f.NoGrace && i.inGrace(f)
	return token.counter == f.Counter || inGrace
}

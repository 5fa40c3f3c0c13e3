package issuer

import (
	"context"

	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/store"
)

// Standing is what a credential rests on that is no session, such as an API key: how often
// all sessions of its subject, of its client and of everybody were ended. The credential
// carries the standing of its birth. If one of the numbers is another by now, sessions that
// were made with the credential have ended, and so has the credential.
type Standing struct {
	Subject Subject // zero without one
	Client  uint64
	All     uint64
}

// Standing reads the standing of a credential of a client, which may be one that is not
// registered, and of a subject; an empty subject is nobody.
func (i *Issuer) Standing(ctx context.Context, subject, client string) (at Standing, err error) {
	keys := []store.Key{clients.RevisionKey(client), cutoffKey}
	if subject != "" {
		if err := checkSubject(subject); err != nil {
			return at, err
		}
		keys = append(keys, subjectKey(subject))
	}
	recs, err := i.store.Get(ctx, keys...)
	if err != nil {
		return at, unavailable(err)
	}
	if at.Client, err = clients.Generation(recs[0]); err != nil {
		return at, err
	}
	at.All = recs[1].Rev
	if subject != "" {
		s, err := parseSubject(recs[2])
		if err != nil {
			return at, err
		}
		at.Subject = *s
	}
	return at, nil
}

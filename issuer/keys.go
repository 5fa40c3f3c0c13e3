package issuer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/token"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/revlog"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

// VerificationKey lends the key of that id to a verifier in the same process: with HS256
// there is no public one. No package outside of this module can take it.
func (i *Issuer) VerificationKey(id string) (token.Key, bool) { return i.keys.Find(id) }

// Keys returns the public keys as a JWK Set; with HS256 there are none. It reads them from
// the store: another node may have made a key a moment ago, and a verifier that met it asks
// for it here. During an outage of the store it returns the keys that it knows.
func (i *Issuer) Keys(ctx context.Context) ([]byte, error) {
	_ = i.reload(ctx)
	return i.keys.JWKS()
}

// SigningKeys describes the keys, oldest first.
func (i *Issuer) SigningKeys() []keyring.Description { return i.keys.Keys() }

// RotateKey has another key sign as soon as every verifier knows it. Tokens that the key
// before has signed stay good. who must have the right Write, or it is [rights.Forbidden].
func (i *Issuer) RotateKey(ctx context.Context, who rights.Actor, act audit.Act) error {
	if err := who.Need(rights.Write); err != nil {
		return err
	}
	kid, err := i.keys.Rotate(ctx)
	if err != nil {
		return unavailable(err)
	}
	i.newSigner() // this entry tells of it, and Sweep need not
	note := act.Entry(audit.RotateKey, "")
	note.Target = kid
	_, err = i.audit.Commit(ctx, i.opts.Clients, store.Batch{}, note) // where the keyring is
	return unavailable(err)
}

// revokeKey puts another key in place first, then tells the verifiers: they fetch
// the keys when they hear of it, and must find the new one. If the second step
// fails the answer is an error, and doing it again is safe.
func (i *Issuer) revokeKey(ctx context.Context, entry source.Revocation, note audit.Entry) (Receipt, error) {
	if err := i.keys.Revoke(ctx, entry.ID); errors.Is(err, keyring.ErrUnknownKey) {
		return Receipt{}, store.ErrNotFound
	} else if err != nil {
		return Receipt{}, unavailable(err)
	}
	i.newSigner()
	return i.commit(ctx, entry, store.Batch{}, note)
}

// newSigner returns the id of the key that signs now, and whether it was another one at
// the last call.
func (i *Issuer) newSigner() (kid string, changed bool) {
	kid = i.keys.Signer().Key().ID
	before := i.signing.Swap(&kid)
	return kid, before != nil && *before != kid
}

// keyRevoked hears that the log holds the revocation of a key.
func (i *Issuer) keyRevoked(ctx context.Context) error {
	if err := i.reload(ctx); err != nil {
		return err
	}
	i.newSigner()
	return nil
}

// endEverything is what the commit that begins another log does besides: it counts a
// revocation of everybody. Keys that were revoked may be back like everything else, so if
// they are in the store of the log, all of them are replaced. That costs nothing: no
// token that they signed counts any longer.
func (i *Issuer) endEverything(ctx context.Context) (b store.Batch, detail string, err error) {
	rev, err := i.cutoff(ctx)
	if err != nil {
		return b, "", err
	}
	b.Put = []store.Record{{Key: cutoffKey, Rev: rev, Value: []byte("{}")}}
	if !i.keys.In(i.store) {
		return b, "", nil
	}
	ring, gone, err := i.keys.Replace(ctx)
	if errors.Is(err, keyring.ErrConfigured) { // the operators that share that secret set another
		return b, "", nil
	}
	if err != nil {
		return b, "", err
	}
	b.Put = append(b.Put, ring)
	for _, kid := range gone {
		b.Revoke = append(b.Revoke, revlog.Entry(source.ScopeKey, kid, "the store was put back"))
	}
	return b, fmt.Sprintf("keys_replaced=%d", len(gone)), nil
}

// reloadEvery bounds what unknown key ids cost: anybody can make them up, and reading
// the keyring takes as long as its keys are large (KEY-08).
const reloadEvery = 100 * time.Millisecond

// reloadSoon is reload for a token with an unknown key. However many there are, and
// however fast they come, the keyring is read so often and no more.
func (i *Issuer) reloadSoon(ctx context.Context) error {
	_, err := i.unknownReads.Do(ctx, func(ctx context.Context) (struct{}, error) {
		if wait := time.Until(i.reloaded.Add(reloadEvery)); wait > 0 {
			timer := time.NewTimer(wait)
			defer timer.Stop()
			select {
			case <-ctx.Done():
				return struct{}{}, ctx.Err()
			case <-timer.C:
			}
		}
		i.reloaded = time.Now() // one runs at a time
		return struct{}{}, i.reload(ctx)
	})
	return unavailable(err)
}

// reload reads the keyring, which other nodes rotate, too.
func (i *Issuer) reload(ctx context.Context) error {
	_, err := i.keyReads.Do(ctx, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, i.keys.Tick(ctx)
	})
	return unavailable(err)
}

package issuer

import (
	"context"
	"slices"

	"github.com/counterfoil/counterfoil/internal/token"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

// Ending is what a revocation would end of the sessions that live now.
type Ending struct {
	Sessions int // whole sessions
	Grants   int // grants of a client, on sessions that go on for other clients
}

// WouldEnd counts what [Issuer.Revoke] of scope and id would end, and changes nothing. It counts
// a page of sessions, as [Issuer.Sessions] takes after and limit. If next is not empty, the count
// goes on after that id. A token and a key end no session: their clients refresh. It fails with
// store.ErrNotFound if there is no such session, grant or key, and as Revoke does for what it
// would not take.
func (i *Issuer) WouldEnd(ctx context.Context, scope source.Scope, id, after string, limit int) (e Ending, next string, err error) {
	if err := checkRevocation(scope, id); err != nil {
		return e, "", err
	}
	owner := "*"
	switch scope {
	case source.ScopeToken:
		return e, "", nil
	case source.ScopeKey:
		if !slices.ContainsFunc(i.SigningKeys(), func(k keyring.Description) bool { return k.ID == id }) {
			return e, "", store.ErrNotFound
		}
		return e, "", nil
	case source.ScopeSession:
		_, err := i.Session(ctx, id)
		if err == nil {
			e.Sessions = 1
		}
		return e, "", err
	case source.ScopeGrant:
		sid, client, _ := token.CutGrantID(id)
		row, err := i.Session(ctx, sid)
		if err == nil {
			e.add(row, client, true)
		}
		if err == nil && e == (Ending{}) {
			err = store.ErrNotFound
		}
		return e, "", err
	case source.ScopeClient:
		if _, err := i.clients.Client(ctx, id); err != nil {
			return e, "", err
		}
	case source.ScopeSubject:
		owner = id
	}
	rows, next, err := i.page(ctx, owner, after, limit)
	for n := range rows {
		if scope == source.ScopeClient {
			e.add(&rows[n], id, false)
		} else {
			e.Sessions++
		}
	}
	return e, next, err
}

// add counts what client holds of row, a session that lives. Of a damaged one nobody can tell. If
// owned is set, the session's own client holds the session itself; otherwise grants of other
// clients outlive it.
func (e *Ending) add(row *SessionRow, client string, owned bool) {
	holds := slices.ContainsFunc(row.Grants, func(g Grant) bool { return g.Client == client })
	switch {
	case row.Damaged || !holds:
	case row.Client == client && (owned || len(row.Grants) == 1):
		e.Sessions++
	default:
		e.Grants++
	}
}

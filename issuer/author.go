package issuer

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/token"
	"github.com/counterfoil/counterfoil/revlog"
	"github.com/counterfoil/counterfoil/source"
)

// authorWithin is how far the time of a log entry and that of its audit entry may be apart: clocks
// of nodes that issue agree by half a minute.
const authorWithin = time.Minute

// maxAuthors is how many audit entries Authors looks at.
const maxAuthors = 1000

// Authors returns the audit entry that tells who made each entry of the log, and when. One that
// is not found is zero: it has expired, or is one of very many. Both were one commit; they have no
// common number, so the newest that names the same is taken.
func (i *Issuer) Authors(ctx context.Context, entries []source.Revocation) ([]audit.Entry, error) {
	authors := make([]audit.Entry, len(entries))
	if len(entries) == 0 {
		return authors, nil
	}
	at := func(e source.Revocation) time.Time {
		made := revlog.CommittedAt(e)
		if now := i.opts.Now(); made.After(now) {
			return now
		}
		return made
	}
	byTime := func(a, b source.Revocation) int { return at(a).Compare(at(b)) }
	told, _, err := i.opts.Audit.List(ctx, audit.Query{
		From: at(slices.MinFunc(entries, byTime)).Add(-authorWithin), To: at(slices.MaxFunc(entries, byTime)).Add(authorWithin), Limit: maxAuthors,
	})
	if err != nil {
		return nil, err
	}
	for n, entry := range entries {
		found := slices.IndexFunc(told, func(e audit.Entry) bool { return e.Outcome != audit.Refused && tellsOf(&e, entry) })
		if found >= 0 {
			authors[n] = told[found]
		}
	}
	return authors, nil
}

// Places returns where in the log the entry stands that each of told tells of, which is [Issuer.Authors]
// the other way round. A place is zero if that wrote none, if the log holds it no more, because nothing
// that it covers can be alive, or if a later one of the same name has taken its place.
func (i *Issuer) Places(ctx context.Context, told []audit.Entry) ([]counterfoil.Cursor, error) {
	if _, err := i.log.Head(ctx); err != nil { // what was committed until now is applied
		return nil, err
	}
	places := make([]counterfoil.Cursor, len(told))
	for n := range told {
		e := &told[n]
		for _, name := range namesOf(e) {
			entry, held := i.log.Find(name.Scope, name.ID)
			if !held || e.Outcome == audit.Refused || !tellsOf(e, entry) || revlog.CommittedAt(entry).Sub(e.Time).Abs() > authorWithin {
				continue
			}
			if places[n] == (counterfoil.Cursor{}) || places[n].Before(entry.At) {
				places[n] = entry.At
			}
		}
	}
	return places, nil
}

// namesOf are the scopes and ids of the entries that the commit of e may have written. Whether it has,
// tellsOf says.
func namesOf(e *audit.Entry) []source.Revocation {
	of, _ := strings.CutPrefix(e.Target, string(source.ScopeToken)+" ")
	return []source.Revocation{
		{Scope: source.ScopeSession, ID: e.Session}, {Scope: source.ScopeGrant, ID: token.GrantID(e.Session, e.Client)},
		{Scope: source.ScopeOthers, ID: token.OthersID(e.Subject, e.Session)}, {Scope: source.ScopeToken, ID: of},
		{Scope: source.ScopeSubject, ID: e.Subject}, {Scope: source.ScopeClaims, ID: e.Subject},
		{Scope: source.ScopeClient, ID: e.Client}, {Scope: source.ScopeKey, ID: e.Target}, {Scope: source.ScopeAll},
	}
}

// tellsOf reports whether e may be of the commit that made entry.
func tellsOf(e *audit.Entry, entry source.Revocation) bool {
	switch entry.Scope {
	case source.ScopeSession:
		if id, by := strings.CutSuffix(entry.Reason, byFilter); by && e.Target == targetFilter {
			return strings.HasPrefix(e.Detail, jobDetail(id))
		}
		return e.Session == entry.ID && e.Action != audit.Login && e.Action != audit.AddGrant && e.Action != audit.AddHost
	case source.ScopeGrant:
		sid, client, _ := token.CutGrantID(entry.ID)
		return e.Session == sid && e.Client == client && e.Action != audit.Login && e.Action != audit.AddGrant
	case source.ScopeToken:
		return e.Target == string(source.ScopeToken)+" "+entry.ID
	case source.ScopeSubject, source.ScopeClaims:
		return e.Subject == entry.ID && slices.Contains([]audit.Action{
			audit.Revoke, audit.SetSubject, audit.ChangeUser, audit.DeleteUser, audit.ChangePassword, audit.StartOver, audit.SetCredential, audit.DeleteCredential,
		}, e.Action)
	case source.ScopeOthers:
		return e.Action == audit.EndOthers && token.OthersID(e.Subject, e.Session) == entry.ID
	case source.ScopeClient:
		return e.Client == entry.ID && slices.Contains([]audit.Action{audit.Revoke, audit.SetClient, audit.DeleteClient}, e.Action)
	case source.ScopeKey:
		return e.Target == entry.ID && e.Action == audit.RevokeKey
	case source.ScopeAll:
		return e.Action == audit.Revoke && e.Target == string(source.ScopeAll)
	}
	return false
}

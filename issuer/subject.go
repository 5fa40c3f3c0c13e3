package issuer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/check"
	"github.com/counterfoil/counterfoil/revlog"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

// Subject is what holds for all sessions of one subject.
type Subject struct {
	Disabled      bool     `json:"disabled,omitempty"`
	Roles         []string `json:"roles,omitempty"`
	ClaimsVersion uint64   `json:"claims_version,omitempty"` // 0: roles were never set here, each session keeps those of its proof

	// Version is that of the user's record, elsewhere, that this was made to agree with, or
	// that is about to be written. It never goes back, so a caller that read an older record can
	// see it and leaves this as it is.
	Version uint64 `json:"version,omitempty"`

	// Ended is the Version with the newest password that all sessions from before were
	// ended for. It never goes back.
	Ended uint64 `json:"ended,omitempty"`

	// Generation counts how often all sessions of the subject were ended. A credential that
	// acts for the subject and is no session carries the one of its birth, see [Standing].
	Generation uint64 `json:"generation,omitempty"`

	// EndSessions is for a change to set: all sessions end in its commit, since only a
	// new login may have what it gives (SES-04).
	EndSessions bool `json:"-"`

	id  string
	rev uint64
}

// Rev is the revision that a proof must carry, see [Issuer.SubjectRev].
func (s Subject) Rev() uint64 { return s.rev }

func subjectKey(id string) store.Key { return store.Key{Kind: kindSubject, ID: id} }

func (s *Subject) require() store.Require {
	return store.Require{Key: subjectKey(s.id), Rev: s.rev}
}

func (s *Subject) record() (store.Record, error) {
	value, err := json.Marshal(s)
	return store.Record{Key: subjectKey(s.id), Rev: s.rev, Value: value}, err
}

func (s *Subject) copyTo(row *SessionRow) {
	if row.SubjectRev != s.rev {
		row.SubjectRev, row.changed = s.rev, true
	}
	if s.ClaimsVersion > row.ClaimsVersion {
		row.Roles, row.ClaimsVersion = s.Roles, s.ClaimsVersion
	}
}

func (i *Issuer) subject(ctx context.Context, id string) (*Subject, error) {
	recs, err := i.store.Get(ctx, subjectKey(id))
	if err != nil {
		return nil, unavailable(err)
	}
	return parseSubject(recs[0])
}

// parseSubject returns the subject of a record that may be absent.
func parseSubject(rec store.Record) (*Subject, error) {
	s := &Subject{id: rec.ID, rev: rec.Rev}
	if rec.Rev == 0 {
		return s, nil
	}
	if err := json.Unmarshal(rec.Value, s); err != nil {
		return nil, fmt.Errorf("subject %s: %w", rec.ID, err)
	}
	return s, nil
}

// Subject returns what holds for all sessions of a subject now.
func (i *Issuer) Subject(ctx context.Context, id string) (Subject, error) {
	if err := checkSubject(id); err != nil {
		return Subject{}, err
	}
	s, err := i.subject(ctx, id)
	if err != nil {
		return Subject{}, err
	}
	return *s, nil
}

// SubjectRev is the revision that a proof must carry, read before the credential
// is checked.
func (i *Issuer) SubjectRev(ctx context.Context, subject string) (uint64, error) {
	s, err := i.subject(ctx, subject)
	if err != nil {
		return 0, err
	}
	return s.rev, nil
}

// SetSubject changes what holds for all sessions of a subject, in one commit
// with the log entry: roles reach every copy by a silent refresh, and disabling
// ends everything. Roles that were never set here are nil; set to none they are
// empty. ClaimsVersion is kept by SetSubject.
func (i *Issuer) SetSubject(ctx context.Context, id string, act audit.Act, change func(*Subject)) error {
	return i.setSubject(ctx, id, act.Entry(audit.SetSubject, id), change)
}

// setSubject writes the subject even if change does nothing: that makes every proof
// that is under way void.
func (i *Issuer) setSubject(ctx context.Context, id string, note audit.Entry, change func(*Subject)) error {
	if err := checkSubject(id); err != nil {
		return err
	}
	for {
		s, err := i.subject(ctx, id)
		if err != nil {
			return err
		}
		before := *s
		change(s)
		s.id, s.rev = before.id, before.rev // change may have set all of it
		s.Version, s.Ended = max(s.Version, before.Version), max(s.Ended, before.Ended)
		s.Generation = before.Generation
		for _, role := range s.Roles {
			if err := check.Text("role", role, 64); err != nil {
				return err
			}
		}
		b := i.subjectBatch(s, &before, id)
		rec, err := s.record()
		if err != nil {
			return err
		}
		b.Put = []store.Record{rec}
		if note.Action != "" {
			note.Detail = fmt.Sprintf("disabled=%v roles=%s", s.Disabled, strings.Join(s.Roles, ","))
		}
		if _, err = i.log.Commit(ctx, b, note); !errors.Is(err, store.ErrConflict) {
			return unavailable(err)
		}
	}
}

// subjectBatch says what a change of a subject takes away.
func (i *Issuer) subjectBatch(s, before *Subject, id string) (b store.Batch) {
	s.ClaimsVersion = before.ClaimsVersion
	// The first roles set here take the place of those of each proof, also when
	// they are none.
	rolesChanged := !equalRoles(s.Roles, before.Roles) || (before.ClaimsVersion == 0 && s.Roles != nil)
	if rolesChanged {
		s.ClaimsVersion++
	}
	switch {
	case s.EndSessions, s.Disabled && !before.Disabled:
		reason := "disabled"
		if s.EndSessions {
			reason = "credentials or privileges changed"
		}
		s.endAll(&b, reason)
	case rolesChanged:
		b.Revoke = append(b.Revoke, revlog.Entry(source.ScopeClaims, id, "roles changed"))
	}
	return b
}

// endAll adds to b the end of every session of s, and counts it. The caller writes s in the
// same commit, which also makes proofs void that are under way.
func (s *Subject) endAll(b *store.Batch, reason string) {
	s.Generation++
	b.DeleteOwned = ownedBy(s.id)
	b.Revoke = append(b.Revoke, revlog.Entry(source.ScopeSubject, s.id, reason))
}

func equalRoles(a, b []string) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(a, b)
}

// checkSubject refuses what no id may be, and "*": the store would list the sessions of
// everybody for that.
func checkSubject(s string) error {
	if s == "" || s == "*" {
		return fmt.Errorf("%w: a subject is neither empty nor *", ErrBadRequest)
	}
	return check.Text("subject", s, 200)
}

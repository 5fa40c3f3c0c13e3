package accounts

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/store"
)

// Update changes name, status, roles and address of a user; change may be called again, and what
// else it sets is ignored. A user who is disabled, or gets a role that [Administers], loses all
// sessions; other roles reach the sessions by a silent refresh. who must have the right Write, or it is
// [rights.Forbidden]. It fails with [ErrLastAdministrator] if the user is the last active one with RoleAdmin, and
// would no longer be. On any other error the outcome is unknown, and doing it again is safe. A change that has begun
// goes on when ctx ends.
func (a *Accounts) Update(ctx context.Context, who rights.Actor, id string, act audit.Act, change func(*directory.User) error) (directory.User, error) {
	if err := who.Need(rights.Write); err != nil {
		return directory.User{}, err
	}
	ctx, done, err := begun(ctx)
	if err != nil {
		return directory.User{}, err
	}
	defer done()
	for tries := 0; ; tries++ {
		u, err := a.update(ctx, who, id, act, change)
		if errors.Is(err, store.ErrConflict) {
			continue // somebody else changed the user meanwhile
		}
		if err != nil && tries > 0 {
			err = errors.Join(err, a.undo(ctx, id, act))
		}
		if err == nil {
			_, err = a.settle(ctx, id, act)
		}
		if err != nil {
			return directory.User{}, err
		}
		return u, nil
	}
}

// changing is how long a change goes on at most.
const changing = 10 * time.Second

// begun returns the context of a change, or the error of ctx if that is over. A caller that hangs up does not end the
// change between its steps: of two administrators who take each other away, both would have lost their sessions, and
// neither could repair it.
func begun(ctx context.Context) (context.Context, context.CancelFunc, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, store.Outage(err)
	}
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), changing)
	return ctx, done, nil
}

// undo gives back what act may have taken from the sessions of a user at an earlier try than the one at which it was
// refused. It is no act of the person who was refused. It has a time of its own: that of the change may be over.
func (a *Accounts) undo(ctx context.Context, id string, act audit.Act) error {
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), changing)
	defer done()
	return a.giveBack(ctx, id, audit.Act{Request: act.Request, Reason: "a refused change is given back"})
}

// giveBack gives the sessions of a user what is written of it. It writes what is written once more, in a version
// beyond the one that was announced.
func (a *Accounts) giveBack(ctx context.Context, id string, act audit.Act) error {
	for {
		_, err := a.update(ctx, rights.Owner(), id, act, func(*directory.User) error { return nil })
		if err == nil {
			_, err = a.settle(ctx, id, act)
		}
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

// update is steps 1 and 2.
func (a *Accounts) update(ctx context.Context, who rights.Actor, id string, act audit.Act, change func(*directory.User) error) (directory.User, error) {
	r, err := a.read(ctx, id)
	if err != nil {
		return directory.User{}, err
	}
	asked := r.user
	asked.Roles = slices.Clone(asked.Roles)
	if err := change(&asked); err != nil {
		return directory.User{}, err
	}
	next := r.user
	next.Name, next.Status, next.Roles = asked.Name, asked.Status, asked.Roles
	if err := next.Check(); err != nil {
		return directory.User{}, err
	}
	if next.Address, next.Verified = asked.Address, asked.Verified; next.Address != "" {
		if next.Address, err = directory.CanonicalAddress(next.Address); err != nil {
			return directory.User{}, err
		}
	}
	if next.Status == "" {
		return directory.User{}, fmt.Errorf("%w: a user has a status", directory.ErrBadUser)
	}
	while, err := a.mayTake(ctx, who, r.user, isAdministrator(next))
	if err != nil {
		return directory.User{}, err
	}
	note := act.Entry(audit.ChangeUser, id)
	note.Detail = fmt.Sprintf("status=%s roles=%s", next.Status, strings.Join(next.Roles, ","))
	roles := !slices.Equal(next.Roles, r.user.Roles)
	if roles {
		note.Detail += " before=" + strings.Join(r.user.Roles, ",")
	}
	if next.Address != r.user.Address || !next.Verified.Equal(r.user.Verified) {
		note.Detail += " address=" + map[bool]string{true: "unverified", false: "verified"}[next.Verified.IsZero()]
	}
	// A version that was announced and is not written is one of a stopped process, or of
	// one that is about to find out that it has to read again.
	if !roles && next.Status == r.user.Status && r.held.Version <= next.Version {
		return next, a.users.Write(ctx, next, nil, note, while...)
	}
	next.Version = r.nextVersion()
	if err := a.take(ctx, act, r.user, next); err != nil {
		return directory.User{}, err
	}
	r.due.Roles = r.due.Roles || roles
	return next, a.users.Write(ctx, next, &r.due, note, while...)
}

// record is what a change begins with.
type record struct {
	held issuer.Subject // of the sessions
	user directory.User
	due  directory.Due
}

func (a *Accounts) read(ctx context.Context, id string) (r record, err error) {
	if r.held, err = a.issuer.Subject(ctx, id); err != nil {
		return r, err
	}
	r.user, r.due, err = a.users.Read(ctx, id)
	return r, err
}

// nextVersion is beyond all that the sessions were told of: also where the user comes from
// a backup, and the sessions, in a store of their own, do not.
func (r record) nextVersion() uint64 { return 1 + max(r.user.Version, r.held.Version, r.held.Ended) }

// take is step 1: it takes from the sessions what they may no longer do, and announces the
// version that says so. What a change gives needs no such step.
func (a *Accounts) take(ctx context.Context, act audit.Act, before, next directory.User) error {
	kept := slices.DeleteFunc(slices.Clone(before.Roles), func(role string) bool { return !slices.Contains(next.Roles, role) })
	loses := len(kept) < len(before.Roles)
	disables := next.Status == directory.Disabled && before.Status != directory.Disabled
	if !loses && !disables {
		return nil
	}
	return a.issuer.SetSubject(ctx, next.ID, act, func(to *issuer.Subject) {
		to.Version = max(to.Version, next.Version)
		to.Disabled = to.Disabled || disables
		if !loses {
			return
		}
		left := kept
		if to.ClaimsVersion > 0 { // what the sessions have not got yet is not given here
			left = slices.DeleteFunc(slices.Clone(kept), func(role string) bool { return !slices.Contains(to.Roles, role) })
		}
		give(to, left)
	})
}

// give sets the roles of a subject's sessions. Who gets a role that Administers signs in anew:
// a session from before may be in other hands, or was made by a program that must not make
// one of an administrator (SES-04).
func give(to *issuer.Subject, roles []string) {
	to.EndSessions = to.EndSessions || slices.ContainsFunc(roles, func(role string) bool {
		return Administers(role) && !slices.Contains(to.Roles, role)
	})
	to.Roles = append([]string{}, roles...)
}

// settle is step 3: it makes what is in force for the sessions what is written, and strikes
// off what was due. behind says that a later version was announced: nothing is given, and
// who announced it, or Finish, comes back to what is due.
func (a *Accounts) settle(ctx context.Context, id string, act audit.Act) (behind bool, err error) {
	for {
		r, err := a.read(ctx, id)
		gone := errors.Is(err, store.ErrNotFound)
		if err != nil && !gone {
			return false, err
		}
		align := func(to *issuer.Subject) {
			if r.due.End > to.Ended {
				to.EndSessions, to.Ended = true, r.due.End
			}
			if behind = !gone && r.user.Version < to.Version; behind {
				return
			}
			to.Version = max(to.Version, r.user.Version)
			to.Disabled = gone || r.user.Status == directory.Disabled
			// Roles that the sessions were never told stay those of each login, unless a
			// change of them is due.
			if !gone && (r.due.Roles || to.ClaimsVersion > 0) {
				give(to, r.user.Roles)
			}
		}
		next := r.held
		if align(&next); same(r.held, next) {
			err = a.issuer.ConfirmReads(ctx) // what was read, for an answer that says it is done
		} else {
			err = a.issuer.SetSubject(ctx, id, act, align)
		}
		if err != nil || behind || !r.due.Pending() {
			return behind, err
		}
		if err := a.users.Settled(ctx, id, r.due); !errors.Is(err, store.ErrConflict) {
			return false, err
		}
	}
}

// same reports whether b holds for the sessions what a holds, and ends none.
func same(a, b issuer.Subject) bool {
	return a.Disabled == b.Disabled && a.Version == b.Version && a.Ended == b.Ended && !b.EndSessions &&
		slices.Equal(a.Roles, b.Roles) && (a.Roles == nil) == (b.Roles == nil)
}

// Delete ends all sessions of a user, then forgets the user with the API keys that act for
// it. The id never comes back, and its sessions stay disabled. It fails like [Accounts.Update]. On any other
// error the outcome is unknown, and doing it again is safe. A deletion that has begun goes on when ctx ends.
func (a *Accounts) Delete(ctx context.Context, who rights.Actor, id string, act audit.Act) error {
	if err := who.Need(rights.Write); err != nil {
		return err
	}
	ctx, done, err := begun(ctx)
	if err != nil {
		return err
	}
	defer done()
	for tries := 0; ; tries++ {
		r, err := a.read(ctx, id)
		if err != nil {
			return err
		}
		while, err := a.mayTake(ctx, who, r.user, false)
		if err != nil {
			if tries > 0 {
				err = errors.Join(err, a.undo(ctx, id, act))
			}
			return err
		}
		err = a.issuer.SetSubject(ctx, id, act, func(to *issuer.Subject) {
			to.Disabled, to.Version = true, max(to.Version, r.nextVersion())
		})
		if err != nil {
			return err
		}
		if err := a.users.Delete(ctx, r.user, act.Entry(audit.DeleteUser, id), while...); !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

// Finish does what is due to all users: what processes that were stopped in the middle of a
// change left. It also adopts API keys of earlier versions. Call it before anything is served,
// and every minute.
func (a *Accounts) Finish(ctx context.Context) error {
	act := audit.Act{Reason: "what a stopped server left"}
	errs := []error{a.adoptKeys(ctx)}
	for id, err := range a.users.Unsettled(ctx) {
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		behind, err := a.settle(ctx, id, act)
		if err == nil && behind {
			err = a.giveBack(ctx, id, act)
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			errs = append(errs, fmt.Errorf("what is due to user %s: %w", id, err))
		}
	}
	return errors.Join(errs...)
}

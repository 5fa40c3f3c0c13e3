// Package directory is whom the issuer knows: people (users), and programs by
// their API keys. It keeps records. It proves nothing, which is for the packages below
// login, and it ends no session: whatever touches a person and their sessions together
// goes through package accounts, the only caller of what writes users here.
package directory

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/check"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/store"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// What callers branch on.
var (
	ErrTaken         = errors.New("identifier is taken")
	ErrBadIdentifier = errors.New("identifier is not acceptable")
	ErrBadUser       = errors.New("user is not acceptable")
)

const (
	kindUser       store.Kind = "user"       // ID: user id
	kindIdentifier store.Kind = "identifier" // ID: hash of the canonical identifier; makes it unique
	kindAPIKey     store.Kind = "apikey"     // ID: hash of the key; owner: the user it acts for, or "client " and its client
	kindInvitation store.Kind = "invitation" // ID: hash of the token; owner: user id
	kindDue        store.Kind = "due"        // ID: user id; see [Due]

	// kindCredential is in credential.go, kindSkeleton in skeleton.go, kindFounded in founding.go.
)

// The states of a user.
const (
	Active   = "active"
	Disabled = "disabled"
	Damaged  = "damaged" // in lists alone: its record cannot be read, and it has an ID and nothing else
)

// User is a person's account.
type User struct {
	ID         string    `json:"-"`
	Identifier string    `json:"identifier"` // canonical
	Name       string    `json:"name,omitempty"`
	Status     string    `json:"status"`
	Roles      []string  `json:"roles,omitempty"`
	Password   string    `json:"-"` // hash of the password, which is a credential beside the user; empty: none matches
	Created    time.Time `json:"created"`

	// Address is where mail for the user goes; empty: nowhere. It is a credential beside the user. The
	// user's record has a copy of one that is not the identifier, for the search.
	Address  string    `json:"address,omitempty"`
	Verified time.Time `json:"-"` // when somebody proved to read mail there; zero: nobody has
	Language string    `json:"-"` // of mail for the user; empty: none was chosen

	// Version grows with each change that the user's sessions must follow: of status,
	// roles or password. It orders such changes where the sessions are, which may be in
	// another store.
	Version uint64 `json:"version,omitempty"`

	rev      uint64           // of the record that was read
	admin    bool             // it has RoleAdmin
	password login.Credential // as it was read
	kept     string           // its hash
	inside   bool             // the hash is in the user's record, where an earlier version keeps it

	called      string  // identifier, as it was read
	box         mailbox // as it was read
	mailRev     uint64
	mailCreated time.Time
}

// Options of New.
type Options struct {
	Store store.Store      // required
	Audit *audit.Trail     // nil: entries are kept in Store for 90 days, and logged
	Now   func() time.Time // nil: time.Now
}

// Directory keeps users and API keys in a store. It is safe for concurrent use.
type Directory struct {
	store store.Store
	audit *audit.Trail
	now   func() time.Time
}

// New checks o.
func New(o Options) (*Directory, error) {
	if o.Store == nil {
		return nil, errors.New("directory: Options.Store is required")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Audit == nil {
		var err error
		if o.Audit, err = audit.New(audit.Options{Store: o.Store, Now: o.Now}); err != nil {
			return nil, err
		}
	}
	return &Directory{marked{o.Store}, o.Audit, o.Now}, nil
}

// MaxIdentifier is the length of an identifier in bytes, as it is typed and as it is kept.
const MaxIdentifier = 254

// Canonical returns the one spelling of an identifier that all its aliases share
// (LOGIN-11): NFKC with case folded and without what nobody sees (the NFKC_Casefold of
// Unicode), no spaces, no control characters, at most one @. What is too long is refused before it is
// normalised (LOGIN-04).
func Canonical(identifier string) (string, error) {
	if len(identifier) > MaxIdentifier || expands(identifier) {
		return "", errLongIdentifier
	}
	typed := strings.TrimSpace(identifier)
	s := norm.NFKC.String(typed)
	s = norm.NFKC.String(strings.Map(foldCherokee, cases.Fold().String(strings.Map(visible, s))))
	for _, spelling := range []string{typed, s} { // NFKC makes a space of some characters
		if err := check.Characters(spelling, unfit); err != nil {
			return "", fmt.Errorf("%w: it %w", ErrBadIdentifier, err)
		}
	}
	switch {
	case s == "":
		return "", fmt.Errorf("%w: it has no visible character", ErrBadIdentifier)
	case len(s) > MaxIdentifier:
		return "", errLongIdentifier
	case strings.Count(s, "@") > 1 || strings.HasPrefix(s, "@") || strings.HasSuffix(s, "@"):
		return "", fmt.Errorf("%w: it has at most one @, with text on both sides", ErrBadIdentifier)
	}
	return s, nil
}

// unfit says why a character may not be in an identifier: it does harm where it is shown, unless it
// is dropped because nobody sees it, or it is a space, or stands for a character that was lost.
// Empty: it may.
func unfit(r rune) (why string) {
	switch {
	case r == unicode.ReplacementChar:
		return "which stands for a character that was lost"
	case unicode.IsSpace(r):
		return "a space or a line break"
	case visible(r) < 0:
		return ""
	}
	return check.Harm(r)
}

var errLongIdentifier = fmt.Errorf("%w: it is longer than %d bytes", ErrBadIdentifier, MaxIdentifier)

// foldCherokee mends [cases.Fold], which makes Cherokee capitals small and small letters
// capitals: Unicode folds both to capitals (https://go.dev/issue/46101).
func foldCherokee(r rune) rune {
	switch {
	case 0xAB70 <= r && r <= 0xABBF:
		return r - 0xAB70 + 0x13A0
	case 0x13F8 <= r && r <= 0x13FD:
		return r - 0x13F8 + 0x13F0
	}
	return r
}

// expands reports whether s decomposes into more than twice what an identifier may have: one
// character of three bytes can become 33, and that costs a hundred times the work.
func expands(s string) bool {
	total := 0
	for len(s) > 0 && total <= 2*MaxIdentifier {
		p := norm.NFKC.PropertiesString(s)
		total += max(len(p.Decomposition()), p.Size(), 1)
		s = s[max(p.Size(), 1):]
	}
	return total > 2*MaxIdentifier
}

// visible drops the characters that a reader ignores by default: with one of them, a
// second account could look like the first.
func visible(r rune) rune {
	if unicode.Is(unicode.Prepended_Concatenation_Mark, r) { // Cf, and seen
		return r
	}
	if unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) {
		return -1
	}
	return r
}

func hashID(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Create adds a user. It fails like [Directory.Available] if somebody has that identifier, or
// one that looks like it. ID, Status and Created are set here. Without an actor, the user made
// the account.
func (d *Directory) Create(ctx context.Context, act audit.Act, u User) (User, error) {
	u.ID, u.Status, u.Created = "", Active, d.now()
	for {
		b, note, err := d.create(ctx, act, &u)
		if err != nil {
			return User{}, err
		}
		if _, err = d.audit.Commit(ctx, d.store, b, note); !errors.Is(err, store.ErrConflict) {
			return u, err
		}
		if err := d.Available(ctx, u.Identifier); err != nil {
			return User{}, err
		}
	}
}

func (d *Directory) create(ctx context.Context, act audit.Act, u *User) (b store.Batch, note audit.Entry, err error) {
	if u.Identifier, err = Canonical(u.Identifier); err != nil {
		return b, note, err
	}
	if err := u.Check(); err != nil {
		return b, note, err
	}
	if u.Status == "" {
		u.Status = Active
	}
	if u.Created.IsZero() {
		u.Created = d.now()
	}
	if u.ID == "" {
		u.ID = "usr_" + strings.ToLower(rand.Text())
	}
	u.Version, u.rev = 0, 0
	u.password, u.kept, u.inside = login.Credential{}, "", false
	u.called, u.box, u.mailRev, u.mailCreated = u.Identifier, mailbox{Address: addressIn(u.Identifier)}, 0, time.Time{}
	if u.Address == "" {
		u.Address = u.box.Address
	}
	if u.Address != "" {
		if u.Address, err = CanonicalAddress(u.Address); err != nil {
			return b, note, err
		}
	}
	rec, err := u.record()
	if err != nil {
		return b, note, err
	}
	own, err := json.Marshal(pointer{User: u.ID})
	if err != nil {
		return b, note, err
	}
	if act.By == "" {
		act.By = audit.BySubject(u.ID)
	}
	note = act.Entry(audit.CreateUser, u.ID)
	note.Detail = "roles=" + strings.Join(u.Roles, ",")
	b.Put = []store.Record{
		rec,
		{Key: identifierKey(u.Identifier), Value: own},
		{Key: skeletonKey(u.Identifier), Value: own},
	}
	if address := addressIn(u.Identifier); address != "" { // see Available
		b.Require = append(b.Require, store.Require{Key: addressKey(address)})
	}
	if u.Status == Disabled { // who was disabled elsewhere is so for the issuer, too
		rec, err := Due{}.record(u.ID)
		if err != nil {
			return b, note, err
		}
		b.Put = append(b.Put, rec)
	}
	return b, note, errors.Join(d.found(ctx, &b, u.Roles), d.setPassword(&b, u), d.setAddress(ctx, &b, u))
}

// Check refuses what could not stand in a token, on a page or in a log, with
// ErrBadUser.
func (u *User) Check() error {
	if u.Status != "" && u.Status != Active && u.Status != Disabled {
		return fmt.Errorf("%w: a status is %q or %q", ErrBadUser, Active, Disabled)
	}
	if len(u.Roles) > 32 {
		return fmt.Errorf("%w: at most 32 roles", ErrBadUser)
	}
	for _, role := range u.Roles {
		if role == "" || len(role) > 64 {
			return fmt.Errorf("%w: a role is 1 to 64 printable ASCII characters without spaces", ErrBadUser)
		}
		if err := check.ASCII(role); err != nil {
			return fmt.Errorf("%w: a role is 1 to 64 printable ASCII characters without spaces, and this one %w", ErrBadUser, err)
		}
	}
	if check.Time("created", u.Created) != nil {
		return fmt.Errorf("%w: created must be a time in the years 0 to 9999", ErrBadUser)
	}
	if len(u.Name) > 200 {
		return fmt.Errorf("%w: a name is at most 200 bytes, and this one is %d", ErrBadUser, len(u.Name))
	}
	if err := check.People(u.Name); err != nil {
		return fmt.Errorf("%w: the name %w", ErrBadUser, err)
	}
	return nil
}

// ByID returns a user, or store.ErrNotFound.
func (d *Directory) ByID(ctx context.Context, id string) (User, error) {
	u, _, err := d.read(ctx, id)
	return u, err
}

// read returns a user, or store.ErrNotFound, and the records of more.
func (d *Directory) read(ctx context.Context, id string, more ...store.Key) (User, []store.Record, error) {
	recs, err := d.store.Get(ctx, append([]store.Key{userKey(id), passwordKey(id), mailKey(id)}, more...)...)
	if err != nil {
		return User{}, nil, err
	}
	if recs[0].Rev == 0 {
		return User{}, recs[3:], store.ErrNotFound
	}
	u, err := parseUser(recs[0], recs[1], recs[2])
	return u, recs[3:], err
}

// parseUser returns the user of a record, with the password and the address of others, which may be
// absent.
func parseUser(rec, password, address store.Record) (u User, err error) {
	var old struct {
		Password string // where the hash was before there were credentials
	}
	if err := errors.Join(json.Unmarshal(rec.Value, &u), json.Unmarshal(rec.Value, &old)); err != nil {
		return User{}, fmt.Errorf("user %s: %w", rec.ID, err)
	}
	if err := check.Time("created", u.Created); err != nil {
		return User{}, fmt.Errorf("user %s: %w", rec.ID, err)
	}
	u.ID, u.rev, u.admin, u.called = rec.ID, rec.Rev, slices.Contains(u.Roles, RoleAdmin), u.Identifier
	if u.password, err = parseCredential(rec.ID, password); err != nil {
		return User{}, err
	}
	if u.inside = old.Password != ""; u.inside {
		// Also beside a credential: to make that took the hash out of the record, so an
		// earlier version set this one later.
		rev := u.password.Rev
		if u.password, err = NewPassword(old.Password, u.Created); err != nil {
			return User{}, err
		}
		u.password.Rev = rev
	}
	if u.kept, err = HashOf(u.password); err != nil {
		return User{}, fmt.Errorf("user %s: %w", rec.ID, err)
	}
	u.Password = u.kept
	return u, u.parseMailbox(address)
}

func userKey(id string) store.Key { return store.Key{Kind: kindUser, ID: id} }

func (u *User) require() store.Require { return store.Require{Key: userKey(u.ID), Rev: u.rev} }

func requireAll(users []User) (all []store.Require) {
	for _, u := range users {
		all = append(all, u.require())
	}
	return all
}

// ByIdentifier returns a user by any spelling of the identifier, or
// store.ErrNotFound.
func (d *Directory) ByIdentifier(ctx context.Context, identifier string) (User, error) {
	id, err := d.IDOf(ctx, identifier)
	if err != nil {
		return User{}, err
	}
	return d.ByID(ctx, id)
}

// IDOf returns the id of the user that any spelling of the identifier means, or
// store.ErrNotFound.
func (d *Directory) IDOf(ctx context.Context, identifier string) (string, error) {
	canonical, err := Canonical(identifier)
	if err != nil {
		return "", store.ErrNotFound // no account can have it
	}
	rec, err := store.One(ctx, d.store, identifierKey(canonical))
	if err != nil {
		return "", err
	}
	var of pointer
	if err := json.Unmarshal(rec.Value, &of); err != nil {
		return "", fmt.Errorf("identifier: %w", err)
	}
	if of.Former {
		return "", store.ErrNotFound
	}
	return of.User, nil
}

// MaxPage is how many users, and how many API keys, a page has at most.
const MaxPage = 200

// List returns up to limit users after the one with the given id, by id, and
// whether there are more. A limit of zero, and one above MaxPage, is MaxPage. A user whose
// record, or one beside it, cannot be read is Damaged, and hides none of the others.
func (d *Directory) List(ctx context.Context, after string, limit int) (page []User, more bool, err error) {
	if limit <= 0 || limit > MaxPage {
		limit = MaxPage
	}
	var users []store.Record
	for rec, err := range d.store.List(ctx, kindUser, "*", after) {
		if err != nil {
			return nil, false, err
		}
		if more = len(users) == limit; more {
			break
		}
		users = append(users, rec)
	}
	page, err = d.withCredentials(ctx, users)
	return page, more, err
}

// withCredentials returns the users of records, with what is kept beside them.
func (d *Directory) withCredentials(ctx context.Context, users []store.Record) (page []User, err error) {
	if len(users) == 0 {
		return nil, nil
	}
	var beside []store.Key
	for _, rec := range users {
		beside = append(beside, passwordKey(rec.ID), mailKey(rec.ID))
	}
	recs, err := d.store.Get(ctx, beside...)
	if err != nil {
		return nil, err
	}
	for n, rec := range users {
		u, err := parseUser(rec, recs[2*n], recs[2*n+1])
		if err != nil {
			u = User{ID: rec.ID, Status: Damaged}
		}
		page = append(page, u)
	}
	return page, nil
}

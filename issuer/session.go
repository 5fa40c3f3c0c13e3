package issuer

import (
	"cmp"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/internal/token"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

const (
	kindSession store.Kind = "session" // ID: sid; owner: subject
	kindGrant   store.Kind = "grant"   // ID: of a family of refresh tokens; owner: subject
	kindSubject store.Kind = "subject" // ID: subject
	kindCutoff  store.Kind = "cutoff"  // ID: "all", whose revision counts the revocations of everybody; the package clients has others
)

// SessionRow is the half of the ticket that the issuer keeps: what is known of
// one login.
type SessionRow struct {
	ID      string              `json:"id"`
	Subject string              `json:"subject"`
	Client  string              `json:"client"`
	Carrier counterfoil.Carrier `json:"carrier"`

	Created         time.Time `json:"created"`
	AuthTime        time.Time `json:"auth_time"`
	LastSeen        time.Time `json:"last_seen"`        // to the minute: it is written at most so often; of a session with a grant, the grant knows
	IdleExpires     time.Time `json:"idle_expires"`     // of an opaque session; in a list of others, too
	AbsoluteExpires time.Time `json:"absolute_expires"` // never moves (SES-12)

	Methods       []string          `json:"methods,omitempty"`
	ACR           string            `json:"acr,omitempty"`
	Roles         []string          `json:"roles,omitempty"`
	Scopes        []string          `json:"scopes,omitempty"`
	ClaimsVersion uint64            `json:"claims_version,omitempty"`
	Attributes    map[string]string `json:"attributes,omitempty"`

	// By is who acts as Subject. A program of an earlier version does not know it, and takes the
	// session for one of Subject's own.
	By *Impersonator `json:"by,omitempty"`

	Device       string     `json:"device,omitempty"` // the User-Agent, for people to recognise; never a security input
	FirstAddress netip.Addr `json:"first_address,omitzero"`
	LastAddress  netip.Addr `json:"last_address,omitzero"`

	Grant      string `json:"grant,omitempty"` // as Grant.Family: of the own client; empty for opaque sessions
	ClientGen  uint64 `json:"client_gen,omitempty"`
	AllGen     uint64 `json:"all_gen,omitempty"`
	SubjectRev uint64 `json:"subject_rev,omitempty"` // the subject that Roles were last compared with: a guess, see Refresh

	// Further are the grants of other clients than Client. A program that does not know
	// them refuses their tokens, and a row that it writes has lost them.
	Further []Grant `json:"grants,omitempty"`

	// Hosts are the origins of Client where a browser has a cookie of this session besides that
	// of the login, the oldest first. A row that an earlier version writes has lost them.
	Hosts []Host `json:"hosts,omitempty"`

	// Grants are those that live, the own client's first. They are set by
	// [Issuer.Sessions] and [Issuer.Session], which show no Grant and no Further.
	Grants []Grant `json:"-"`

	// Damaged is set by Sessions and Session if the stored row cannot be read. It has an
	// ID and a Subject, and nothing else. No copy of it is good; it can be ended by its ID.
	Damaged bool `json:"-"`

	rev     uint64
	changed bool // since it was read
	stands  bool // who impersonates may go on, see [Issuer.stand]
}

func sessionKey(id string) store.Key { return store.Key{Kind: kindSession, ID: id} }

// touchEvery bounds the writes that mere use of a session causes (SES-22).
const touchEvery = time.Minute

var base32Lower = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// sessionID is the public id that belongs to an opaque credential, or to the id in a
// refresh token: a hash, so the row is found by it and no stored or logged value is a
// credential (SES-02). 160 bits of a hash of 128 random ones or more cannot be turned
// back or met by chance.
func sessionID(secret []byte) string {
	sum := sha256.Sum256(append([]byte("counterfoil sid v1\x00"), secret...))
	return "ses_" + base32Lower.EncodeToString(sum[:20])
}

// record writes times in whole seconds, which is what the tokens tell of them, and
// never later than they are.
func (r *SessionRow) record() (store.Record, error) {
	written := *r
	for _, t := range []*time.Time{&written.Created, &written.AuthTime, &written.LastSeen, &written.IdleExpires, &written.AbsoluteExpires} {
		*t = t.UTC().Truncate(time.Second)
	}
	value, err := json.Marshal(&written)
	if err != nil {
		return store.Record{}, err
	}
	return store.Record{
		Key: sessionKey(r.ID), Owner: r.Subject, Rev: r.rev,
		Expires: written.AbsoluteExpires, Value: value, Index: r.texts(),
	}, nil
}

// parseRow returns the session of a record that may be absent: it has ended.
func parseRow(rec store.Record) (*SessionRow, error) {
	if rec.Rev == 0 {
		return nil, counterfoil.ErrRevoked
	}
	row := &SessionRow{rev: rec.Rev}
	if err := json.Unmarshal(rec.Value, row); err != nil {
		return nil, fmt.Errorf("session %s is %w: %w", rec.ID, errDamaged, err)
	}
	if row.ID != rec.ID || row.Subject != rec.Owner {
		return nil, fmt.Errorf("session %s is %w: it names another session or subject", rec.ID, errDamaged)
	}
	return row, nil
}

// errDamaged means that a stored row is not what the issuer writes.
var errDamaged = errors.New("damaged")

func (r *SessionRow) ended(now time.Time) bool {
	return !now.Before(r.AbsoluteExpires) || !now.Before(r.IdleExpires)
}

// use notes that the session is in use, which moves the idle expiry and never
// the absolute one.
func (r *SessionRow) use(now time.Time, idle time.Duration) {
	r.LastSeen = now
	r.IdleExpires = now.Add(idle)
	if r.Carrier.Format != counterfoil.Opaque || r.IdleExpires.After(r.AbsoluteExpires) {
		r.IdleExpires = r.AbsoluteExpires
	}
}

// idle is how long r lives unused, as its last use was noted. Near the absolute end that is what is
// left until there, which comes to the same: no use moves that end.
func (r *SessionRow) idle() time.Duration { return r.IdleExpires.Sub(r.LastSeen) }

// touch notes the use of an opaque session, at most once in touchEvery. It reports whether
// that changed r.
func (r *SessionRow) touch(now time.Time, idle time.Duration) bool {
	if r.Carrier.Format != counterfoil.Opaque || now.Sub(r.LastSeen) < touchEvery {
		return false
	}
	r.use(now, idle)
	r.changed = true
	return true
}

// show adds to r what its refresh tokens tell of its use, for a refresh does not write
// the row, and takes out of it what nobody is shown. It reports whether r has a grant that
// was used lately enough to live.
func show(r *SessionRow, families map[string]*family, now time.Time) bool {
	if r.Damaged {
		return true
	}
	// A grant without refresh tokens is used as the session's own is: see [Issuer.Exchange].
	familyOf := func(g Grant) *family { return families[cmp.Or(g.Family, r.Grant)] }
	r.Grants = slices.DeleteFunc(r.Grants, func(g Grant) bool {
		f := familyOf(g)
		return f != nil && f.used(g.refreshIdle, now) != nil
	})
	if len(r.Grants) == 0 {
		return false
	}
	if g := r.Grants[0]; g.Client == r.Client {
		r.Scopes = g.Scopes
	} else {
		r.Hosts = nil // they are its own client's
	}
	for n, h := range r.Hosts {
		r.Hosts[n].LastUsed = coarse(h.LastUsed, h.Granted)
	}
	var idle time.Time // of the session: when the last of its grants ends
	seen := r.LastSeen
	for n := range r.Grants {
		g := &r.Grants[n]
		g.LastUsed, g.IdleExpires = r.LastSeen, r.IdleExpires
		if f := familyOf(*g); f != nil {
			g.LastUsed = f.Rotated
			if end := f.end(g.refreshIdle); end.Before(g.IdleExpires) {
				g.IdleExpires = end
			}
			if !f.Rotated.Before(r.LastSeen) && f.Address.IsValid() {
				r.LastAddress = f.Address
			}
		}
		if g.LastUsed.After(seen) {
			seen = g.LastUsed
		}
		if g.IdleExpires.After(idle) {
			idle = g.IdleExpires
		}
		g.LastUsed, g.IdleExpires, g.Family = coarse(g.LastUsed, g.Granted), coarse(g.IdleExpires, g.Granted), ""
	}
	r.LastSeen, r.IdleExpires = coarse(seen, r.Created), coarse(idle, r.Created)
	r.Grant, r.Further = "", nil
	return true
}

// coarse is t to the minute, and not before the time that it cannot be before. A list tells no
// more of when a session is used: its reader may hold a refresh token of it, and wait for the
// moment at which the client uses that.
func coarse(t, first time.Time) time.Time {
	if t = t.Truncate(time.Minute); t.Before(first) {
		return first
	}
	return t
}

// copyOf is a copy of h, born at the given head of the log.
func (i *Issuer) copyOf(h *holding, born counterfoil.Cursor, now time.Time) *counterfoil.Session {
	row, g, expires := h.row, h.grant, h.copyEnds
	if expires.IsZero() {
		expires = i.copyEnd(h, now)
	}
	s := &counterfoil.Session{
		ID: row.ID, Issuer: i.opts.URL, Subject: row.Subject, Client: g.Client, Audience: i.audience(h.client),
		Roles: row.Roles, Scopes: g.Scopes, Methods: row.Methods, ACR: row.ACR,
		AuthTime: row.AuthTime, ClaimsVersion: row.ClaimsVersion, Attributes: g.Attributes,
		Carrier: g.Carrier, IssuedAt: now.Truncate(time.Second), Expires: expires.Truncate(time.Second), Born: born,
	}
	if row.By != nil {
		s.Actor, s.ActorSession, s.ActorClient = row.By.Subject, row.By.Session, row.By.Client
	}
	if h.host != nil {
		s.TokenID, s.Origin = h.host.ID, h.host.Origin
	}
	return s
}

// copyEnd is when a copy of h ends that is made now.
func (i *Issuer) copyEnd(h *holding, now time.Time) time.Time {
	// Up to 5 % shorter, so that clients that signed in together do not refresh together.
	ttl := i.accessTTL(h.client)
	ttl -= rand.N(ttl / 20)
	if h.grant.Carrier.Format == counterfoil.Opaque {
		// A verifier that keeps such a copy does not tell us that the session is in use. It
		// must ask again while the session, touched up to touchEvery before, still lives.
		ttl = min(ttl, i.idle(h.client)/3)
	}
	expires := now.Add(ttl)
	for _, end := range []time.Time{h.end(), h.row.IdleExpires} {
		if end.Before(expires) {
			expires = end
		}
	}
	return expires
}

func (i *Issuer) audience(c *clients.Client) []string {
	if len(c.Audience) > 0 {
		return c.Audience
	}
	return i.opts.Audience
}

// maxCookie is what a browser keeps: name and value of a cookie together
// (RFC 6265 section 6.1).
const maxCookie = 4096

// roomFor is a size of claims that fits a cookie with every way to sign and encrypt: 1000
// bytes and a signature of 1024 in base64url twice over, and two headers. A JWE to a
// client's key has a longer one.
func roomFor(key *clients.EncryptionKey) int {
	if key != nil {
		return 700
	}
	return 1000
}

// checkSize refuses a session whose copy would be dropped by a browser, or refused by
// a verifier, before anything is written (SES-10).
func (i *Issuer) checkSize(h *holding, now time.Time) error {
	carrier, client := h.grant.Carrier, h.client
	if carrier.Format == counterfoil.Opaque {
		return nil
	}
	// A copy as large as any this grant can have: ids and times have one length, and
	// the cursor its greatest.
	s := i.copyOf(h, counterfoil.Cursor{Epoch: math.MaxUint64, Seq: math.MaxUint64}, now)
	s.ID, s.TokenID = randomID("ses_"), randomID("tok_")
	payload, err := claims(s).Marshal()
	if err != nil { // what no verifier would read, such as an attribute with a line break
		return fmt.Errorf("%w: %w", ErrBadRequest, err)
	}
	if len(payload) <= roomFor(client.EncryptionKey) {
		return nil
	}
	access, err := i.sign(s, client)
	if err != nil {
		return err
	}
	limit := token.MaxSize
	if carrier.Transport == counterfoil.Cookie {
		limit = maxCookie - len(source.CookieName)
	}
	if len(access) > limit {
		return fmt.Errorf("%w: %d bytes for a carrier of at most %d", ErrTooLarge, len(access), limit)
	}
	return nil
}

// sign writes s as an access token (RFC 9068), and inside a JWE if its carrier says so:
// to the client's key if it has one, otherwise to ours.
func (i *Issuer) sign(s *counterfoil.Session, client *clients.Client) (string, error) {
	signer := i.keys.Signer()
	s.KeyID, s.TokenID = signer.Key().ID, randomID("tok_")
	payload, err := claims(s).Marshal()
	if err != nil {
		return "", err
	}
	access, err := signer.Sign(token.AccessType, payload)
	if err != nil || s.Carrier.Format != counterfoil.JWE {
		return access, err
	}
	if client.EncryptionKey != nil {
		return token.EncryptTo(client.EncryptionKey.Recipient(), i.keys.Derive, token.AccessType, access)
	}
	sealer, err := i.keys.Sealer()
	if err != nil {
		return "", err
	}
	return token.EncryptDirect(sealer, token.AccessType, access)
}

// SignedIntrospection signs an answer about a credential for the client that asked
// (RFC 9701). Its kind is its own, so nobody takes it for the credential (INTRO-02,
// TOK-19). It is empty with HS256: who could check it could also have made it.
func (i *Issuer) SignedIntrospection(answer source.Introspection, asked string) (string, error) {
	signer := i.keys.Signer()
	if signer.Key().Alg.Symmetric() {
		return "", nil
	}
	payload, err := json.Marshal(struct {
		Issuer   string               `json:"iss"`
		Audience string               `json:"aud"`
		IssuedAt int64                `json:"iat"`
		Answer   source.Introspection `json:"token_introspection"`
	}{i.opts.URL, asked, i.opts.Now().Unix(), answer})
	if err != nil {
		return "", err
	}
	return signer.Sign("token-introspection+jwt", payload)
}

func claims(s *counterfoil.Session) *token.Claims {
	return &token.Claims{
		Issuer: s.Issuer, Subject: s.Subject, Audience: s.Audience, Client: s.Client,
		ID: s.TokenID, SID: s.ID, RV: s.Born.String(), ACR: s.ACR,
		Roles: s.Roles, Scopes: s.Scopes, Methods: s.Methods,
		Expires: s.Expires.Unix(), IssuedAt: s.IssuedAt.Unix(), AuthTime: s.AuthTime.Unix(),
		ClaimsVersion: s.ClaimsVersion, Attributes: s.Attributes, Actor: s.Actor, ActorSession: s.ActorSession, ActorClient: s.ActorClient,
	}
}

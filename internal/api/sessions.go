package api

import (
	"crypto/rand"
	"encoding/json"
	"net/netip"
	"net/url"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/source"
)

// Login is the body of POST /v1/login.
type Login[S Text] struct {
	Identifier string `json:"identifier,omitempty"` // empty: the method finds the user
	Password   S      `json:"password,omitempty"`   // short for method password and its input
	Method     string `json:"method,omitempty"`     // empty: the server's first
	Input      Object `json:"input,omitzero"`       // in the form that the method wants
	Carrier    string `json:"carrier,omitempty"`    // empty: the client's first
	Client     string `json:"client,omitempty"`     // empty: the default one
	Scope      string `json:"scope,omitempty"`      // separated by spaces; empty: all that the client has
}

// Register is the body of POST /v1/register.
type Register[S Text] struct {
	Login[S]
	Name string `json:"name,omitempty"`
}

// Challenge answers a login or a step-up that has another step: POST /v1/login/continue.
// Attempt is a secret, unless the secret went into a cookie.
type Challenge struct {
	Attempt   string          `json:"attempt"`
	Method    string          `json:"method"` // the method that asks
	Challenge json.RawMessage `json:"challenge"`
	ExpiresIn int64           `json:"expires_in"` // seconds
}

// Continue is the body of POST /v1/login/continue.
type Continue[S Text] struct {
	Attempt S      `json:"attempt"`
	Answer  Object `json:"answer,omitzero"`  // in the form that the method wants
	Client  string `json:"client,omitempty"` // as in the login
}

// Refresh is the body of POST /v1/refresh. Without one, the refresh token is in its cookie.
type Refresh[S Text] struct {
	RefreshToken S      `json:"refresh_token,omitempty"`
	RefreshNonce S      `json:"refresh_nonce,omitempty"` // see Nonce
	Client       string `json:"client,omitempty"`
	Scope        string `json:"scope,omitempty"`
}

// Nonce returns a new value for Refresh.RefreshNonce. A client makes one for each refresh token,
// keeps it as long as the token, and sends it with each attempt to use the token: so the server
// knows who asks again because an answer was lost.
func Nonce() string { return rand.Text() }

// StepUp is the body of POST /v1/session/step-up.
type StepUp[S Text] struct {
	Password S      `json:"password,omitempty"` // as in Login
	Method   string `json:"method,omitempty"`
	Input    Object `json:"input,omitzero"`
}

// NewPassword is the body of POST /v1/password.
type NewPassword[S Text] struct {
	Current S `json:"current"`
	Next    S `json:"next"`
}

// Issued answers login, refresh, step-up and the change of a password. The tokens are absent
// if they went into cookies: a script of the page must not be able to read them in the answer.
type Issued struct {
	AccessToken  string  `json:"access_token,omitempty"`
	TokenType    string  `json:"token_type,omitempty"`
	ExpiresIn    int64   `json:"expires_in"` // seconds
	RefreshToken string  `json:"refresh_token,omitempty"`
	Device       string  `json:"device,omitempty"` // of a login or step-up: the client keeps it for DeviceHeader
	Session      Session `json:"session"`
}

// DeviceHeader has the Device of an earlier login. A client that sends it with its next login
// does not wait for strangers who guess at the account.
const DeviceHeader = "Counterfoil-Device"

// RefreshHeader with the value "cookie" asks for the refresh token of a session whose access token
// is in a header as an HttpOnly cookie, and for the device credential as one.
const RefreshHeader = "Counterfoil-Refresh"

// Session is a session as one of its copies has it.
type Session struct {
	ID       string              `json:"id"`
	Subject  string              `json:"subject"`
	Client   string              `json:"client,omitempty"`
	Carrier  counterfoil.Carrier `json:"carrier"`
	Roles    []string            `json:"roles,omitempty"`
	Scopes   []string            `json:"scopes,omitempty"`
	Methods  []string            `json:"amr,omitempty"`
	ACR      string              `json:"acr,omitempty"`
	AuthTime time.Time           `json:"auth_time"`
	Expires  time.Time           `json:"expires"`
	Actor    string              `json:"actor,omitempty"` // who acts as Subject
}

// SessionRow is the stored session, as its owner and administrators see it.
type SessionRow struct {
	ID              string              `json:"id"`
	Subject         string              `json:"subject"`
	Client          string              `json:"client"`
	Carrier         counterfoil.Carrier `json:"carrier"`
	Created         time.Time           `json:"created"`
	AuthTime        time.Time           `json:"auth_time"`
	LastSeen        time.Time           `json:"last_seen"`
	IdleExpires     time.Time           `json:"idle_expires"`
	AbsoluteExpires time.Time           `json:"absolute_expires"`
	Methods         []string            `json:"amr,omitempty"`
	ACR             string              `json:"acr,omitempty"`
	Roles           []string            `json:"roles,omitempty"`
	Scopes          []string            `json:"scopes,omitempty"`
	Attributes      map[string]string   `json:"attributes,omitempty"`
	Device          string              `json:"device,omitempty"`
	DeviceLabel     string              `json:"device_label,omitempty"`
	FirstAddress    netip.Addr          `json:"first_address,omitzero"`
	LastAddress     netip.Addr          `json:"last_address,omitzero"`
	Actor           string              `json:"actor,omitempty"`      // who acts as Subject
	ActorName       string              `json:"actor_name,omitempty"` // for people
	Grants          []Grant             `json:"grants"`
	Hosts           []Host              `json:"hosts,omitempty"`
}

// Host is an origin where a browser has a cookie of a session besides that of the login. Revoking
// the token ID ends it alone.
type Host struct {
	ID       string    `json:"id"`
	Origin   string    `json:"origin"`
	Granted  time.Time `json:"granted"`
	LastUsed time.Time `json:"last_used"` // to the minute
}

// Handover is the body of POST /v1/handover: what a gateway shows for a cookie at Origin.
type Handover[S Text] struct {
	Code     S      `json:"code"`
	Verifier S      `json:"verifier"` // the secret of the browser that the code was made for
	Origin   string `json:"origin"`
	Client   string `json:"client,omitempty"`   // empty: the first client of the key, or default if the key is for all
	Replaces S      `json:"replaces,omitempty"` // the cookie that the browser has at Origin, and that the new one overwrites
}

// HandedOver answers it: the value of the cookie.
type HandedOver struct {
	Credential string `json:"credential"`
	ExpiresIn  int64  `json:"expires_in"` // seconds
	SameSite   string `json:"same_site"`  // "lax" or "strict"
}

// Grant is the part of a session that belongs to one client.
type Grant struct {
	Client      string              `json:"client"`
	Carrier     counterfoil.Carrier `json:"carrier"`
	Scopes      []string            `json:"scopes,omitempty"`
	Granted     time.Time           `json:"granted"`
	LastUsed    time.Time           `json:"last_used"`
	IdleExpires time.Time           `json:"idle_expires"`
}

// Notice is a notice as its subject sees it. Its kinds are "refresh-reuse": the session was
// ended; "grant-reuse": the grant of Client was ended; "session-limit": the oldest sessions were
// ended to make room for a login, Session last; "impersonation": ActorName acts in Session; "damaged": it has an ID and nothing else.
type Notice struct {
	ID       string     `json:"id"`
	Kind     string     `json:"kind"` // see below
	Time     time.Time  `json:"time,omitzero"`
	Session  string     `json:"session,omitempty"`
	Client   string     `json:"client,omitempty"`
	Device   string     `json:"device,omitempty"`
	Address  netip.Addr `json:"address,omitzero"`
	SignedIn netip.Addr `json:"signed_in_address,omitzero"`
	Ended    int        `json:"ended,omitempty"` // sessions that a login beyond the limit ended

	Actor     string `json:"actor,omitempty"` // who impersonates, and why
	ActorName string `json:"actor_name,omitempty"`
	Reason    string `json:"reason,omitempty"`
}

// OwnSessions answers GET /v1/sessions.
type OwnSessions struct {
	Current string `json:"current"` // id of the caller's own
	Sessions
	Notices []Notice `json:"notices"`
}

// Sessions answers GET /v1/admin/users/{id}/sessions: a page, by id.
type Sessions struct {
	Sessions []SessionRow `json:"sessions"`
	Damaged  []string     `json:"damaged,omitempty"` // ids of sessions of this page whose rows cannot be read
	Next     string       `json:"next,omitempty"`    // cursor of the next page; empty: this is the last
}

// FoundSessions answers GET /v1/admin/sessions. Order is "newest"; "id" for those of one user; or
// "stored" if the store has no index: then a page looks at a bounded number of sessions, and may be
// empty and not the last.
type FoundSessions struct {
	Sessions
	Order  string `json:"order"`
	Looked int    `json:"looked"` // stored sessions that were looked at for this page
	Counted
	Named
}

// SessionFilter says which sessions a search, or a revocation, is for. What is not set holds for all.
type SessionFilter struct {
	User    string    `json:"user,omitempty"`
	Client  string    `json:"client,omitempty"` // the session's own, or one that has a grant of it
	Carrier string    `json:"carrier,omitempty"`
	Address string    `json:"address,omitempty"` // of the login, or the last one
	Device  string    `json:"device,omitempty"`  // a part of the User-Agent
	ACR     string    `json:"acr,omitempty"`
	Since   time.Time `json:"since,omitzero"` // the session is not older
}

// Query is f as GET /v1/admin/sessions takes it.
func (f SessionFilter) Query() url.Values {
	return filled(map[string]string{
		"user": f.User, "client": f.Client, "carrier": f.Carrier, "address": f.Address, "device": f.Device, "acr": f.ACR, "since": moment(f.Since),
	})
}

// NewSession is the body of POST /v1/admin/sessions.
type NewSession struct {
	Subject string   `json:"subject"`
	Carrier string   `json:"carrier,omitempty"`
	Client  string   `json:"client,omitempty"`
	Scope   string   `json:"scope,omitempty"`
	Roles   []string `json:"roles,omitempty"`
}

// Revocation is the body of POST /v1/admin/revocations.
type Revocation struct {
	Scope  source.Scope `json:"scope,omitempty"`
	ID     string       `json:"id,omitempty"`
	Reason string       `json:"reason,omitempty"`
	Wait   string       `json:"wait,omitempty"` // WaitAll or empty

	// Filter is there instead of Scope and ID: a SessionFilter. The handler reads it strictly.
	// With DryRun the answer is a RevocationPlan, and nothing is revoked; without it Token is
	// that of the plan, and the answer a RevocationJob. AtMost is how many sessions may be ended:
	// needed if the plan said MoreThan.
	Filter json.RawMessage `json:"filter,omitempty"`
	DryRun bool            `json:"dry_run,omitempty"`
	Token  string          `json:"token,omitempty"`
	AtMost int             `json:"at_most,omitempty"`
}

// RevocationPlan is what a revocation by filter would end.
type RevocationPlan struct {
	Sessions int          `json:"sessions"`  // that live: exact up to 10,000
	MoreThan bool         `json:"more_than"` // there are more
	Samples  []SessionRow `json:"samples"`   // at most 20
	Token    string       `json:"token"`     // of the revocation
	Expires  time.Time    `json:"expires"`   // of Token
	Named
}

// RevocationJob is a revocation by filter, which goes on by itself.
type RevocationJob struct {
	ID       string        `json:"id"`
	State    string        `json:"state"` // "running", "done" or "stopped"
	Filter   SessionFilter `json:"filter"`
	Planned  int           `json:"planned"` // sessions that the plan found
	MoreThan bool          `json:"more_than"`
	Limit    int           `json:"limit"` // no more are ended
	Ended    int           `json:"ended"`
	By       string        `json:"by,omitempty"` // empty, as Reason: the caller may not see the audit trail
	Reason   string        `json:"reason,omitempty"`
	Created  time.Time     `json:"created"` // sessions that began in a later second are not ended
	Updated  time.Time     `json:"updated"`
	Named                  // in the answer to GET
}

// The states of a job that is over. One that is done has ended all sessions. One that stopped has ended
// as many as it may, and others are left.
const (
	JobDone    = "done"
	JobStopped = "stopped"
)

// WaitAll makes a revocation wait until every verifier has confirmed it.
const WaitAll = "all"

// Receipt answers a revocation.
type Receipt struct {
	Epoch       string             `json:"epoch"` // 16 hexadecimal digits: more than a JSON number holds
	Seq         uint64             `json:"seq"`
	Cursor      counterfoil.Cursor `json:"cursor"`
	CommittedAt time.Time          `json:"committed_at"`
	Confirmed   bool               `json:"confirmed"` // every verifier has it; only ever true with WaitAll

	// Of POST /v1/admin/revocations: how many verifiers follow the server that answers, and the
	// largest bound, in milliseconds. With any server, a verifier refuses what was revoked
	// after that time, unless it serves stale by its configuration.
	Verifiers int   `json:"verifiers,omitempty"`
	BoundMS   int64 `json:"bound_ms,omitempty"`

	// NotWaitedFor lists verifiers that serve stale by their configuration, MaxNotWaitedFor of them at most. They may accept
	// until their own limit (docs/revocation.md 4.7). NotWaitedForMore is how many others there are.
	NotWaitedFor     []string `json:"not_waited_for,omitempty"`
	NotWaitedForMore int      `json:"not_waited_for_more,omitempty"`
}

const MaxNotWaitedFor = 200

// Ending answers GET /v1/admin/revocations: what a revocation would end, of a page of sessions.
type Ending struct {
	Sessions int    `json:"sessions"`       // whole sessions
	Grants   int    `json:"grants"`         // grants of a client, on sessions that go on for other clients
	Next     string `json:"next,omitempty"` // cursor of the next page; empty: this is the last
}

// Token answers POST /oauth/token (RFC 6749 section 5.1).
type Token struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"` // seconds
	RefreshToken string `json:"refresh_token,omitempty"`
	Scope        string `json:"scope,omitempty"`

	IssuedTokenType string `json:"issued_token_type,omitempty"` // of an exchange (RFC 8693)
}

// LogHello is the first event of GET /v1/admin/log/events.
type LogHello struct {
	Head      counterfoil.Cursor `json:"head"`
	Verifiers int                `json:"verifiers"` // that follow the node that answers
	BoundMS   int64              `json:"bound_ms"`  // the largest
}

// LogEvent is the event "revocation": an entry of the log.
type LogEvent struct {
	Cursor counterfoil.Cursor `json:"cursor"`
	Scope  source.Scope       `json:"scope"`
	ID     string             `json:"id,omitempty"`
	Reason string             `json:"reason,omitempty"`
	Author *audit.Entry       `json:"author,omitempty"` // who did it, when, and from where; absent: not known
	Named                     // of Author
}

// LogConfirmed is the event "confirmed": no verifier that follows the node that answers accepts
// what entries up to Cursor cover.
type LogConfirmed struct {
	Cursor     counterfoil.Cursor `json:"cursor"`
	AfterMS    int64              `json:"after_ms"`   // since the entry was sent here
	Verifiers  int                `json:"verifiers"`  // that follow the node
	Everywhere bool               `json:"everywhere"` // nor does any other; false: those of other nodes within BoundMS
	BoundMS    int64              `json:"bound_ms"`
}

// Activity is something that was done to an account, or was refused, as its owner is told.
type Activity struct {
	Time    time.Time     `json:"time"`
	Action  audit.Action  `json:"action"`
	Outcome audit.Outcome `json:"outcome"`
	By      string        `json:"by"` // self, administrator, program, server, or unknown
	Client  string        `json:"client,omitempty"`
	Session string        `json:"session,omitempty"`
	Address netip.Addr    `json:"address,omitzero"`
}

// ActivityPage answers GET /v1/activity, the newest first. A page may be short and not be the last.
type ActivityPage struct {
	Activity []Activity `json:"activity"`
	Next     string     `json:"next,omitempty"` // cursor of the next page; empty: this is the last
}

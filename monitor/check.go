package monitor

import (
	"net/http"
	"reflect"
	"time"

	"github.com/counterfoil/counterfoil/internal/secret"
)

// Kind says how a check looks at its target.
type Kind string

// The kinds of checks.
const (
	HTTP    Kind = "http"    // sends a request and looks at the answer
	TCP     Kind = "tcp"     // connects
	TLS     Kind = "tls"     // connects, and looks at the certificate
	Push    Kind = "push"    // waits for a call from the target
	Journey Kind = "journey" // signs in, and sees the session end
)

// kinds are all kinds, as the file names them.
var kinds = []Kind{HTTP, TCP, TLS, Push, Journey}

// The limits of a check.
const (
	everyLeast   = 10 * time.Second
	everyMost    = 24 * time.Hour
	everyDefault = 60 * time.Second

	timeoutDefault = 10 * time.Second
	maxBody        = 1 << 20 // of an answer
)

// Check is the definition of one thing that is watched. Parse makes it, and nobody changes it.
type Check struct {
	Name   string // unique in a file; [a-z0-9][a-z0-9._-]*, at most 64 bytes
	Title  string // for people; Parse fills it with Name
	Group  string // heading on a status page; may be empty
	Kind   Kind
	Target string // http, journey: URL; tcp, tls: host:port; push: empty

	Public     bool // a public status page lists it
	ShowTarget bool // and names its target

	Every   time.Duration
	Timeout time.Duration
	Grace   time.Duration // push: how much later than Every a call may come

	Down     Threshold
	Up       int           // passed runs in a row that end a Down
	Remind   time.Duration // while it is down; zero: never
	Channels []string      // that events go to; nil: all

	Request Request // http
	Expect  Expect
	Secure  Secure // http with https, tls
	PushID  secret.String
	Sign    SignIn // journey
}

// Threshold is how many of the last runs must have failed: Failures of Of.
type Threshold struct{ Failures, Of int }

// Request is what an http check sends.
type Request struct {
	Method  string
	Headers http.Header   // secrets among them: never printed
	Body    secret.String // may be empty
}

// Expect is what a check demands of an answer. What is zero is not demanded.
type Expect struct {
	Status          []int             // one of them; nil: 200 to 299
	Contains        string            // in the body
	JSON            map[string]string // by JSON pointer (RFC 6901): the JSON text of the value
	Latency         time.Duration     // of the whole run
	CertificateDays int               // below which an event says so; it fails no run
}

// Secure says what a check shows and believes in TLS.
type Secure struct {
	CA   string // file of the certificates that are believed (PEM); empty: those of the system
	Cert string // file of the own certificate; empty: none
	Key  string // its key
	Name string // expected instead of the host
}

// SignIn is what a journey needs in addition to the URL of the auth server.
type SignIn struct {
	User     string
	Password secret.String
	Client   string
	Carriers []string
	Bound    time.Duration // D of docs/revocation.md: how late a target may refuse
	Targets  []Target
}

// Target is a service that a journey calls.
type Target struct {
	Name  string
	URL   string
	Bound time.Duration // zero: that of SignIn
}

// same reports whether two definitions are the same, their secrets included.
func (c *Check) same(other *Check) bool {
	a, b := *c, *other
	for _, hidden := range []*Check{&a, &b} {
		hidden.Request.Body, hidden.PushID, hidden.Sign.Password = secret.String{}, secret.String{}, secret.String{}
	}
	return reflect.DeepEqual(a, b) && c.Request.Body.Equal(other.Request.Body) && c.PushID.Equal(other.PushID) && c.Sign.Password.Equal(other.Sign.Password)
}

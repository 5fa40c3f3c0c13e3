package inspect

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// Decoded is what a token says. Nothing of it is verified: anybody can write such a token.
type Decoded struct {
	Form          string `json:"form"` // signed, encrypted, opaque
	Serialization string `json:"serialization,omitempty"`
	Scheme        string `json:"scheme,omitempty"` // Bearer or DPoP, if that stood before it
	Kind          string `json:"kind"`             // id of a [Kind], or of a credential that is no token
	Title         string `json:"title"`
	Because       string `json:"because,omitempty"` // by what the kind was recognised
	Verified      bool   `json:"verified"`          // always false

	Header     json.RawMessage `json:"header,omitempty"`     // of the first signature or recipient
	Claims     json.RawMessage `json:"claims,omitempty"`     // the payload, if it is a JSON object
	Payload    string          `json:"payload,omitempty"`    // in base64url, if it is something else
	Signature  int             `json:"signature_bytes"`      // size of the first signature
	More       []Signed        `json:"signatures,omitempty"` // the other signatures
	Recipients int             `json:"recipients,omitempty"` // of an encrypted token

	Times       []Time       `json:"times,omitempty"`
	Proof       *Proof       `json:"proof,omitempty"`
	Disclosures []Disclosure `json:"disclosures,omitempty"`
	Binding     *Binding     `json:"key_binding,omitempty"`
	StatusList  *StatusList  `json:"status_list,omitempty"`
	Nested      *Decoded     `json:"nested,omitempty"`
	Problems    []string     `json:"problems,omitempty"` // what could not be read
}

// Signed is one of several signatures.
type Signed struct {
	Header    json.RawMessage `json:"header"`
	Signature int             `json:"signature_bytes"`
}

// Time is a claim that is a time.
type Time struct {
	Claim string    `json:"claim"`
	Time  time.Time `json:"time"`
	Away  string    `json:"away"` // from now: "in 4m0s" or "4m0s ago"
}

// Proof has the parts of a DPoP proof that a server compares (RFC 9449 section 4.3).
type Proof struct {
	Method     string `json:"htm"`
	URL        string `json:"htu"`
	Thumbprint string `json:"jkt"` // of the key in the header: cnf.jkt of the access token
	TokenHash  string `json:"ath,omitempty"`
	Nonce      string `json:"nonce,omitempty"`
}

// StatusList is what a status list token contains.
type StatusList struct {
	Bits    int `json:"bits"`    // of one status
	Entries int `json:"entries"` // how many there are; 0 if the list could not be read
}

// reader decodes tokens, and the tokens in them.
type reader struct {
	now    time.Time
	nested int
}

// Decode reads a token. It verifies nothing. An error wraps [ErrNoToken].
func Decode(text string, now time.Time) (*Decoded, error) {
	return reader{now: now}.decode(text)
}

func (r reader) decode(text string) (*Decoded, error) {
	if kind, title, ok := opaqueKind(text); ok {
		return &Decoded{Form: "opaque", Kind: kind, Title: title}, nil
	}
	m, err := parse(text)
	if err != nil {
		return nil, err
	}
	d := &Decoded{Serialization: m.serialization, Scheme: m.scheme}
	if m.encrypted != nil {
		d.encrypted(m.encrypted)
		return d, nil
	}
	d.Form = "signed"
	s := &m.signatures[0]
	d.Header, d.Signature = shown(s.raw, s), len(s.value)
	for i := range m.signatures[1:] {
		other := &m.signatures[i+1]
		d.More = append(d.More, Signed{shown(other.raw, other), len(other.value)})
	}
	claims, err := readObject(m.payload)
	if err != nil {
		claims = object{}
		d.Payload = base64.RawURLEncoding.EncodeToString(m.payload)
	} else {
		d.Claims = firstValue(m.payload)
	}
	header := s.header()
	kind, because := kindOf(header, claims, m.selective)
	d.Kind, d.Title, d.Because = kind.ID, kind.Title, because
	d.Times = times(claims, r.now)
	d.details(m, header, claims, r)
	return d, nil
}

// firstValue is the first JSON value of data. What stands behind it is left out.
func firstValue(data []byte) json.RawMessage {
	var raw json.RawMessage
	if json.NewDecoder(bytes.NewReader(data)).Decode(&raw) != nil {
		return nil
	}
	return raw
}

// shown is a protected header as it is written. If there is an unprotected one it is both.
func shown(raw []byte, s *signature) json.RawMessage {
	if len(s.unprotected) == 0 && len(raw) > 0 {
		return firstValue(raw)
	}
	all, err := json.Marshal(s.header())
	if err != nil {
		return nil
	}
	return all
}

func (d *Decoded) encrypted(e *encrypted) {
	d.Form, d.Kind, d.Recipients = "encrypted", "encrypted", len(e.recipients)
	d.Title = "encrypted token: only the owner of its key can read the claims"
	header := e.header()
	if kind, because := kindOf(object{"typ": header["typ"]}, object{}, false); kind.ID != "jwt" {
		d.Kind, d.Title, d.Because = kind.ID, "encrypted "+kind.Title, because
	}
	raw, err := json.Marshal(header)
	if err != nil {
		return
	}
	if d.Header = raw; d.Serialization == Compact {
		d.Header = firstValue(e.raw)
	}
}

// details reads what only some kinds of tokens have.
func (d *Decoded) details(m *message, header, claims object, r reader) {
	switch d.Kind {
	case "dpop-proof":
		d.Proof = &Proof{Method: claims.text("htm"), URL: claims.text("htu"), TokenHash: claims.text("ath"), Nonce: claims.text("nonce")}
		if key, err := parseJWK(header["jwk"]); err == nil {
			d.Proof.Thumbprint = key.Thumbprint
		} else {
			d.Problems = append(d.Problems, "the key of the proof: "+err.Error())
		}
	case "status-list":
		d.StatusList = readStatusList(claims)
	}
	if m.selective {
		d.Disclosures = m.disclosed(claims)
		d.Binding = m.readBinding(claims, r.deeper())
	}
	if inner, ok := nestedText(header, m.payload); ok {
		if r.nested == maxNested {
			d.Problems = append(d.Problems, "there are more tokens in it than are read")
			return
		}
		nested, err := r.deeper().decode(inner)
		if err != nil {
			d.Problems = append(d.Problems, "the token in it: "+err.Error())
			return
		}
		d.Nested, d.Payload = nested, ""
	}
}

func (r reader) deeper() reader { r.nested++; return r }

// nestedText returns the token that is the payload (RFC 7519 section 5.2).
func nestedText(header object, payload []byte) (string, bool) {
	if shortType(header.text("cty")) != "jwt" && !bytes.HasPrefix(payload, []byte("eyJ")) {
		return "", false
	}
	return string(payload), true
}

func times(claims object, now time.Time) (list []Time) {
	for _, name := range []string{"auth_time", "iat", "nbf", "exp", "updated_at", "toe"} {
		at, ok := claims.time(name)
		if !ok {
			continue
		}
		list = append(list, Time{name, at, away(at, now)})
	}
	return list
}

// The units of what is a day away or more. A year has 365.25 days.
const (
	day  = 24 * time.Hour
	year = 365*day + day/4
)

// away says how far a time is from now: to the second within a day, else in two units.
func away(at, now time.Time) string {
	d := at.Sub(now).Round(time.Second)
	far := d.Abs()
	text := far.String()
	switch {
	case far >= year:
		text = fmt.Sprintf("%dy%dd", far/year, far%year/day)
	case far >= day:
		text = fmt.Sprintf("%dd%dh", far/day, far%day/time.Hour)
	}
	if d > 0 {
		return "in " + text
	}
	return text + " ago"
}

const maxInflated = 250_000 // bytes of what is compressed

func readStatusList(claims object) *StatusList {
	inner, err := readObject(claims["status_list"])
	if err != nil {
		return &StatusList{}
	}
	bits, _ := inner.number("bits")
	list := &StatusList{Bits: int(min(max(bits, 0), 8))}
	raw, err := base64.RawURLEncoding.DecodeString(inner.text("lst"))
	if err != nil || list.Bits == 0 {
		return list
	}
	z, err := zlib.NewReader(bytes.NewReader(raw))
	if err != nil {
		return list
	}
	n, err := io.Copy(io.Discard, io.LimitReader(z, maxInflated+1))
	if err == nil && n <= maxInflated {
		list.Entries = int(n) * 8 / list.Bits
	}
	return list
}

package counterfoil

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Introspection is a session as RFC 7662 writes it, with members of our own.
type Introspection struct {
	Active        bool              `json:"active"`
	Issuer        string            `json:"iss,omitempty"`
	Subject       string            `json:"sub,omitempty"`
	SID           string            `json:"sid,omitempty"`
	Client        string            `json:"client_id,omitempty"`
	Audience      []string          `json:"aud,omitempty"`
	Expires       int64             `json:"exp,omitempty"`
	IssuedAt      int64             `json:"iat,omitempty"`
	TokenID       string            `json:"jti,omitempty"`
	KeyID         string            `json:"kid,omitempty"`
	Scope         string            `json:"scope,omitempty"`
	Roles         []string          `json:"roles,omitempty"`
	Methods       []string          `json:"amr,omitempty"`
	ACR           string            `json:"acr,omitempty"`
	AuthTime      int64             `json:"auth_time,omitempty"`
	ClaimsVersion uint64            `json:"cv,omitempty"`
	Attributes    map[string]string `json:"app,omitempty"`
	Born          *Cursor           `json:"rv,omitempty"`
}

// NewIntrospection writes s.
func NewIntrospection(s *Session) Introspection {
	return Introspection{
		Active: true, Issuer: s.Issuer, Subject: s.Subject, SID: s.ID, Client: s.Client, Audience: s.Audience,
		Expires: s.Expires.Unix(), IssuedAt: s.IssuedAt.Unix(), TokenID: s.TokenID, KeyID: s.KeyID,
		Scope: strings.Join(s.Scopes, " "), Roles: s.Roles, Methods: s.Methods, ACR: s.ACR,
		AuthTime: s.AuthTime.Unix(), ClaimsVersion: s.ClaimsVersion, Attributes: s.Attributes, Born: &s.Born,
	}
}

// Session reads what NewIntrospection wrote. Carrier is not part of it.
func (i Introspection) Session() (*Session, error) {
	if !i.Active {
		return nil, ErrInvalidToken
	}
	if i.Subject == "" || i.SID == "" || i.Expires <= 0 || i.Born == nil {
		return nil, fmt.Errorf("%w: introspection answer without sub, sid, exp or rv", ErrUnavailable)
	}
	return &Session{
		ID: i.SID, Issuer: i.Issuer, Subject: i.Subject, Client: i.Client, Audience: i.Audience,
		Roles: i.Roles, Scopes: strings.Fields(i.Scope), Methods: i.Methods, ACR: i.ACR,
		AuthTime: time.Unix(i.AuthTime, 0), ClaimsVersion: i.ClaimsVersion, Attributes: i.Attributes,
		TokenID: i.TokenID, KeyID: i.KeyID, IssuedAt: time.Unix(i.IssuedAt, 0), Expires: time.Unix(i.Expires, 0), Born: *i.Born,
	}, nil
}

type wirePage struct {
	After   Cursor      `json:"after"`
	Upto    Cursor      `json:"upto"`
	Head    Cursor      `json:"head"`
	Time    time.Time   `json:"time"`
	Entries []wireEntry `json:"entries"`
}

type wireEntry struct {
	Seq   uint64 `json:"seq"`
	Scope Scope  `json:"scope"`
	ID    string `json:"id,omitempty"`
	Exp   int64  `json:"exp"`
}

// MarshalJSON writes the page as GET /v1/log answers it. Reasons stay at the issuer.
func (p Page) MarshalJSON() ([]byte, error) {
	w := wirePage{p.After, p.Upto, p.Head, p.Time, make([]wireEntry, len(p.Entries))}
	for n, e := range p.Entries {
		// Rounded up: an entry is never dropped early.
		w.Entries[n] = wireEntry{e.At.Seq, e.Scope, e.ID, e.Expires.Add(time.Second - 1).Unix()}
	}
	return json.Marshal(w)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (p *Page) UnmarshalJSON(data []byte) error {
	var w wirePage
	if err := json.Unmarshal(data, &w); err != nil {
		return err
	}
	*p = Page{After: w.After, Upto: w.Upto, Head: w.Head, Time: w.Time}
	for _, e := range w.Entries {
		p.Entries = append(p.Entries, Revocation{At: Cursor{w.Upto.Epoch, e.Seq}, Scope: e.Scope, ID: e.ID, Expires: time.Unix(e.Exp, 0)})
	}
	return nil
}

package counterfoil

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/internal/token"
)

// introspection is a session as RFC 7662 section 2.2 writes it, with members of our own.
type introspection struct {
	Active        bool              `json:"active"`
	Issuer        string            `json:"iss,omitempty"`
	Subject       string            `json:"sub,omitempty"`
	SID           string            `json:"sid,omitempty"`
	Client        string            `json:"client_id,omitempty"`
	Audience      []string          `json:"aud,omitempty"`
	Expires       int64             `json:"exp,omitempty"`
	IssuedAt      int64             `json:"iat,omitempty"`
	Origin        string            `json:"origin,omitempty"`
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
	Act           *actor            `json:"act,omitempty"`
}

// actor is who acts as the subject (RFC 8693 section 4.1).
type actor struct {
	Subject string `json:"sub"`
	Session string `json:"sid"`
	Client  string `json:"client_id,omitempty"`
}

// MarshalJSON writes s as the answer of token introspection for an active credential
// (RFC 7662). Carrier and Stale are not part of it.
func (s Session) MarshalJSON() ([]byte, error) {
	var act *actor
	if s.Actor != "" {
		act = &actor{s.Actor, s.ActorSession, s.ActorClient}
	}
	return json.Marshal(introspection{
		Active: true, Act: act, Issuer: s.Issuer, Subject: s.Subject, SID: s.ID, Client: s.Client, Audience: s.Audience,
		Expires: s.Expires.Unix(), IssuedAt: s.IssuedAt.Unix(), Origin: s.Origin, TokenID: s.TokenID, KeyID: s.KeyID,
		Scope: strings.Join(s.Scopes, " "), Roles: s.Roles, Methods: s.Methods, ACR: s.ACR,
		AuthTime: s.AuthTime.Unix(), ClaimsVersion: s.ClaimsVersion, Attributes: s.Attributes, Born: &s.Born,
	})
}

// UnmarshalJSON reads an answer of token introspection. One that says "not active" is an
// [ErrInvalidToken]; one that makes no sense is an [ErrUnavailable], and says nothing about
// the credential.
func (s *Session) UnmarshalJSON(data []byte) error {
	var i introspection
	err := token.CheckJSON(data) // a member that is there twice, or text behind the object
	if err == nil {
		err = json.Unmarshal(data, &i)
	}
	if err != nil {
		return fmt.Errorf("%w: introspection: %w", ErrUnavailable, err)
	}
	if !i.Active {
		return ErrInvalidToken
	}
	if i.Subject == "" || i.SID == "" || i.Expires <= 0 || i.Born == nil {
		return fmt.Errorf("%w: introspection answer without sub, sid, exp or rv", ErrUnavailable)
	}
	if i.Act == nil {
		i.Act = new(actor)
	} else if i.Act.Subject == "" || i.Act.Session == "" { // what ends that session must end this one
		return fmt.Errorf("%w: introspection answer with an act that lacks sub or sid", ErrUnavailable)
	}
	*s = Session{
		Actor: i.Act.Subject, ActorSession: i.Act.Session, ActorClient: i.Act.Client,
		ID: i.SID, Issuer: i.Issuer, Subject: i.Subject, Client: i.Client, Audience: i.Audience,
		Roles: i.Roles, Scopes: strings.Fields(i.Scope), Methods: i.Methods, ACR: i.ACR,
		AuthTime: time.Unix(i.AuthTime, 0), ClaimsVersion: i.ClaimsVersion, Attributes: i.Attributes,
		Origin: i.Origin, TokenID: i.TokenID, KeyID: i.KeyID, IssuedAt: time.Unix(i.IssuedAt, 0), Expires: time.Unix(i.Expires, 0), Born: *i.Born,
	}
	return nil
}

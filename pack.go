package counterfoil

import (
	"encoding/binary"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/counterfoil/counterfoil/internal/revocation"
)

// A session that is remembered is in two parts: bytes, which are its own, and a Session with
// what many have in common, which they share.

// parts are what a packed session says.
type parts struct {
	id, subject, token      string
	expires, issued, proven time.Time
	seq, claimsVersion      uint64
	attributes              string // packed
	hasAttributes           bool
}

// packedHead is where the session begins. What the cache has of a copy, and checks do not need,
// stands before it: hash, era, and at packedCost what the copy costs.
const (
	packedCost = 8
	packedHead = 12
)

// The first byte of a session.
const (
	packedExact      = 1 << iota // its times are no whole seconds of the local zone
	packedAttributes             // it has attributes
)

// pack appends what is s's own to b: with the hash of the credential, the era that it is of, and room
// for what the copy costs, which slab.add knows. A time keeps its instant, and is local or UTC afterwards.
func pack(b []byte, s *Session, hash, era uint32) []byte {
	b = binary.LittleEndian.AppendUint32(b, hash)
	b = binary.LittleEndian.AppendUint32(b, era)
	b = binary.LittleEndian.AppendUint32(b, 0)
	flags := byte(0)
	times := [...]time.Time{s.Expires, s.IssuedAt, s.AuthTime}
	for _, t := range times {
		if t.Nanosecond() != 0 || t.Location() != time.Local {
			flags |= packedExact
		}
	}
	if s.Attributes != nil {
		flags |= packedAttributes
	}
	b = append(b, flags)
	b = appendText(b, s.ID)
	b = appendText(b, s.Subject)
	b = appendText(b, s.TokenID)
	last := int64(0)
	for _, t := range times {
		b = binary.AppendVarint(b, t.Unix()-last)
		last = t.Unix()
		if flags&packedExact != 0 {
			b = binary.AppendUvarint(b, uint64(t.Nanosecond())<<1|isUTC(t))
		}
	}
	b = binary.AppendUvarint(b, s.Born.Seq)
	b = binary.AppendUvarint(b, s.ClaimsVersion)
	if s.Attributes != nil {
		b = binary.AppendUvarint(b, uint64(len(s.Attributes)))
		for _, name := range slices.Sorted(maps.Keys(s.Attributes)) {
			b = appendText(b, name)
			b = appendText(b, s.Attributes[name])
		}
	}
	return b
}

func isUTC(t time.Time) uint64 {
	if t.Location() == time.UTC {
		return 1
	}
	return 0
}

func appendText(b []byte, text string) []byte {
	b = binary.AppendUvarint(b, uint64(len(text)))
	return append(b, text...)
}

// unpacking is what is left of a packed session.
type unpacking string

func (u *unpacking) uvarint() (n uint64) {
	for i, shift := 0, 0; ; i, shift = i+1, shift+7 {
		c := (*u)[i]
		n |= uint64(c&0x7f) << shift
		if c < 0x80 {
			*u = (*u)[i+1:]
			return n
		}
	}
}

func (u *unpacking) varint() int64 {
	n := u.uvarint()
	return int64(n>>1) ^ -int64(n&1)
}

func (u *unpacking) text() string {
	n := u.uvarint()
	text := string((*u)[:n])
	*u = (*u)[n:]
	return text
}

// unpack reads what pack wrote. It copies nothing.
func unpack(packed string) (p parts) {
	packed = packed[packedHead:]
	u := unpacking(packed[1:])
	p.id, p.subject, p.token = u.text(), u.text(), u.text()
	last := int64(0)
	for _, t := range [...]*time.Time{&p.expires, &p.issued, &p.proven} {
		last += u.varint()
		more := uint64(0)
		if packed[0]&packedExact != 0 {
			more = u.uvarint()
		}
		*t = time.Unix(last, int64(more>>1))
		if more&1 != 0 {
			*t = t.UTC()
		}
	}
	p.seq, p.claimsVersion = u.uvarint(), u.uvarint()
	p.hasAttributes, p.attributes = packed[0]&packedAttributes != 0, string(u)
	return p
}

// names returns what an entry of the log can name of the session.
func (p *parts) names(shared *Session) revocation.Names {
	return revocation.Names{
		Session: p.id, Token: p.token, Key: shared.KeyID, Subject: p.subject, Client: shared.Client, Born: Cursor{Epoch: shared.Born.Epoch, Seq: p.seq},
		Actor: shared.Actor, ActorSession: shared.ActorSession, ActorClient: shared.ActorClient,
	}
}

// unpacked returns the session of its two parts. It keeps both.
func unpacked(packed string, shared *Session) *Session {
	s := new(Session)
	unpackInto(s, packed, shared)
	return s
}

// unpackInto is unpacked, with the session in s.
func unpackInto(s *Session, packed string, shared *Session) {
	p := unpack(packed)
	*s = *shared
	s.ID, s.Subject, s.TokenID = p.id, p.subject, p.token
	s.Expires, s.IssuedAt, s.AuthTime = p.expires, p.issued, p.proven
	s.Born.Seq, s.ClaimsVersion = p.seq, p.claimsVersion
	if p.hasAttributes {
		u := unpacking(p.attributes)
		n := u.uvarint()
		s.Attributes = make(map[string]string, n)
		for range n {
			name := u.text()
			s.Attributes[name] = u.text()
		}
	}
}

// sharedParts are what sessions had in common of late.
type sharedParts struct {
	recent [16]atomic.Pointer[Session]
	next   atomic.Uint32
}

// of returns what s has in common with others.
func (p *sharedParts) of(s *Session) *Session {
	for i := range p.recent {
		if r := p.recent[i].Load(); r != nil && alike(r, s) {
			return r
		}
	}
	shared := &Session{
		Issuer: strings.Clone(s.Issuer), Client: strings.Clone(s.Client), ACR: strings.Clone(s.ACR),
		Actor: strings.Clone(s.Actor), ActorSession: strings.Clone(s.ActorSession), ActorClient: strings.Clone(s.ActorClient),
		Origin: strings.Clone(s.Origin), KeyID: strings.Clone(s.KeyID), Carrier: s.Carrier, Born: Cursor{Epoch: s.Born.Epoch},
		Audience: cloneAll(s.Audience), Roles: cloneAll(s.Roles), Scopes: cloneAll(s.Scopes), Methods: cloneAll(s.Methods),
	}
	p.recent[p.next.Add(1)%uint32(len(p.recent))].Store(shared)
	return shared
}

// sharedCost is how many bytes a shared session takes, about.
func sharedCost(s *Session) int {
	bytes := 512 + len(s.Issuer) + len(s.Client) + len(s.ACR) + len(s.Actor) + len(s.ActorSession) + len(s.ActorClient) + len(s.Origin) + len(s.KeyID)
	for _, list := range [...][]string{s.Audience, s.Roles, s.Scopes, s.Methods} {
		for _, text := range list {
			bytes += 24 + len(text)
		}
	}
	return bytes
}

func cloneAll(list []string) []string {
	if list == nil {
		return nil
	}
	own := make([]string, len(list))
	for i, text := range list {
		own[i] = strings.Clone(text)
	}
	return own
}

// alike reports whether a and b have the same in common with others.
func alike(a, b *Session) bool {
	return a.KeyID == b.KeyID && a.Client == b.Client && a.Carrier == b.Carrier && a.Issuer == b.Issuer && a.ACR == b.ACR &&
		a.Actor == b.Actor && a.ActorSession == b.ActorSession && a.ActorClient == b.ActorClient && a.Origin == b.Origin && a.Born.Epoch == b.Born.Epoch &&
		same(a.Roles, b.Roles) && same(a.Scopes, b.Scopes) && same(a.Methods, b.Methods) && same(a.Audience, b.Audience)
}

func same(a, b []string) bool { return (a == nil) == (b == nil) && slices.Equal(a, b) }

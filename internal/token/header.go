package token

import (
	"hash/maphash"
	"strings"
	"sync/atomic"
)

// header is the protected header of a JWS or a JWE.
type header struct {
	alg, kid, typ, cty, enc string

	epk       object // RFC 7518 section 4.6.1.1; nil when absent
	apu, apv  string
	encrypted bool // the header has a member that only a JWE has
	refused   bool // the header has a member that neither kind may have
}

// parseHeader reads a protected header. It refuses members that contain keys or point to
// keys. This package could ignore them, but another reader of the token may not (TOK-15). It
// refuses crit with any content, because it supports no extension (RFC 7515 section 4.1.11,
// TOK-18). b64 is an extension (RFC 7797).
func parseHeader(part, typ string) (header, error) {
	raw, err := decode(nil, part)
	if err != nil {
		return header{}, err
	}
	if len(raw) > MaxHeaderSize {
		return header{}, refuse("header size")
	}
	s, err := scan(string(raw))
	if err != nil {
		return header{}, err
	}
	var h header
	m := members{depth: 1}
	for m.next(&s) {
		m.err = h.member(&s, m.name)
	}
	if m.err == nil {
		m.err = s.end()
	}
	switch {
	case m.err != nil:
		return header{}, m.err
	case typ != "" && !sameType(h.typ, typ):
		return header{}, refuse("typ")
	case h.alg == "":
		return header{}, refuse("alg")
	}
	return h, checkID(h.kid)
}

func (h *header) member(s *scanner, name string) (err error) {
	switch name {
	case "jku", "x5u", "jwk", "x5c", "crit", "b64":
		return refuse("forbidden header member")
	case "epk":
		h.encrypted = true
		if s.peek() != '{' {
			return refuse("type of a header member")
		}
		h.epk, err = s.object(2)
		return err
	}
	if s.peek() != '"' {
		return refuse("type of a header member")
	}
	text, err := s.string()
	switch name {
	case "alg":
		h.alg = text
	case "kid":
		h.kid = text
	case "typ":
		h.typ = text
	case "cty":
		h.cty = text
	case "enc":
		h.enc, h.encrypted = text, true
	case "apu":
		h.apu, h.encrypted = text, true
	case "apv":
		h.apv, h.encrypted = text, true
	case "zip", "p2c", "p2s", "iv", "tag":
		// Compression bombs, PBES2 rounds and key wrapping (JWE-01 to JWE-03).
		h.refused = true
	}
	return err
}

// headerCache has the results of parseHeader for a few headers. An issuer writes the same
// header, byte for byte, on every token of a key. Only the header of a token with a good
// signature is cached, so that an attacker cannot evict good entries.
var headerCache [16]atomic.Pointer[cachedHeader]

type cachedHeader struct {
	part, typ string
	header    header
}

var cacheSeed = maphash.MakeSeed()

func cacheSlot(part string) *atomic.Pointer[cachedHeader] {
	return &headerCache[maphash.String(cacheSeed, part)%uint64(len(headerCache))]
}

// readHeader returns a header from the cache, or parses it.
func readHeader(part, typ string) (h header, cached bool, err error) {
	if k := cacheSlot(part).Load(); k != nil && k.part == part && k.typ == typ {
		return k.header, true, nil
	}
	h, err = parseHeader(part, typ)
	return h, false, err
}

func cacheHeader(part, typ string, h header) {
	cacheSlot(part).Store(&cachedHeader{strings.Clone(part), strings.Clone(typ), h})
}

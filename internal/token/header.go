package token

import (
	"hash/maphash"
	"strings"
	"sync/atomic"
)

// header is a protected header of a JWS or a JWE.
type header struct {
	alg, kid, typ, cty, enc string

	epk       object // RFC 7518 section 4.6.1.1; nil when absent
	apu, apv  string
	encrypted bool // has a member that only a JWE has
	refused   bool // has a member that neither kind may have
}

// parseHeader reads a protected header. Members that carry or point to keys are
// refused where ignoring them would do, because someone downstream may not
// (TOK-15). crit is refused with every content: no extension is understood here
// (RFC 7515 section 4.1.11, TOK-18), and b64 is one (RFC 7797).
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

// known remembers what parseHeader made of a few headers: an issuer writes the
// same one, byte for byte, on every token of a key. Only the header of a token
// whose signature was good is kept, so that no stranger can push them out.
var known [16]atomic.Pointer[knownHeader]

type knownHeader struct {
	part, typ string
	header    header
}

var knownSeed = maphash.MakeSeed()

func knownSlot(part string) *atomic.Pointer[knownHeader] {
	return &known[maphash.String(knownSeed, part)%uint64(len(known))]
}

func recallHeader(part, typ string) (h header, isKnown bool, err error) {
	if k := knownSlot(part).Load(); k != nil && k.part == part && k.typ == typ {
		return k.header, true, nil
	}
	h, err = parseHeader(part, typ)
	return h, false, err
}

func keepHeader(part, typ string, h header) {
	knownSlot(part).Store(&knownHeader{strings.Clone(part), strings.Clone(typ), h})
}

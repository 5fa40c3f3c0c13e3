package token

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"hash"
	"strings"
	"sync"
)

// VerifyJWS verifies a compact JWS and returns its payload and kid. find returns the key for
// a kid. The typ of the header must be typ, which is compared without case and without
// "application/" (RFC 7515 section 4.1.9). typ must not be empty: one kind of token must not
// be accepted as another (TOK-19). If the caller trusts several issuers, find must return keys
// of one issuer only (TOK-17).
func VerifyJWS(compact, typ string, find func(kid string) (Key, bool)) (payload, kid string, err error) {
	if !validType(typ) {
		return "", "", refuse("typ")
	}
	return verifyJWS(compact, typ, find)
}

// scratch has the buffers of one verification.
type scratch struct{ header, iv, input, sig, der, payload []byte }

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// verifyJWS accepts any typ if typ is empty: published test vectors have none.
func verifyJWS(compact, typ string, find func(kid string) (Key, bool)) (payload, kid string, err error) {
	p, err := split(compact, 3)
	if err != nil {
		return "", "", err
	}
	h, cached, err := readHeader(p[0], typ)
	if err != nil {
		return "", "", err
	}
	if h.encrypted || h.refused { // members of a JWE (RFC 7516 section 9)
		return "", "", refuse("header of another kind of token")
	}
	k, ok := find(h.kid)
	if !ok || k.ID != h.kid {
		return "", "", refuse("unknown kid")
	}
	if h.alg != string(k.alg) || k.alg != k.Alg { // TOK-02
		return "", "", refuse("alg is not that of the key")
	}
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	if s.sig, err = decode(s.sig[:0], p[2]); err != nil {
		return "", "", err
	}
	s.input = append(s.input[:0], compact[:len(p[0])+1+len(p[1])]...)
	if !k.verify(s.input, s.sig, &s.der) {
		return "", "", refuse("signature")
	}
	if s.payload, err = decode(s.payload[:0], p[1]); err != nil {
		return "", "", err
	}
	if len(s.payload) == 0 {
		return "", "", refuse("empty payload")
	}
	if !cached {
		cacheHeader(p[0], typ, h)
	}
	return string(s.payload), k.ID, nil
}

// validType reports whether s can be a media type, with or without "application/".
func validType(s string) bool {
	for i := range len(s) {
		if c := s[i]; !urlByte(c) && c != '+' && c != '.' && c != '/' {
			return false
		}
	}
	return s != "" && len(s) <= 128
}

func sameType(a, b string) bool {
	return validType(a) && strings.EqualFold(shortType(a), shortType(b))
}

func shortType(s string) string {
	const prefix = "application/"
	if len(s) > len(prefix) && strings.EqualFold(s[:len(prefix)], prefix) && !strings.Contains(s[len(prefix):], "/") {
		return s[len(prefix):]
	}
	return s
}

// Holds reports whether sig is a signature by k over input. It is for programs that look for
// faults of foreign tokens: it checks no header, so a service calls [VerifyJWS] instead.
func (k Key) Holds(input, sig []byte) bool {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	return k.public != nil && k.alg == k.Alg && k.verify(input, sig, &s.der)
}

// verify reports whether sig is a signature by k over input. der is a buffer of the caller.
func (k Key) verify(input, sig []byte, der *[]byte) bool {
	info := algs[k.alg]
	switch p := k.public.(type) {
	case *ecdsa.PublicKey:
		// The fixed length refuses DER. The range refuses the zero signature of
		// CVE-2022-21449, even if the library would accept it (TOK-05).
		size := coordinate(info.curve)
		if len(sig) != 2*size {
			return false
		}
		order := info.order
		if !inRange(sig[:size], order) || !inRange(sig[size:], order) {
			return false
		}
		if k.check != nil {
			if valid, known := k.check(input, sig); known {
				return valid
			}
		}
		var sum [maxDigest]byte
		*der = appendDER((*der)[:0], sig[:size], sig[size:])
		return ecdsa.VerifyASN1(p, digest(info.hash, input, &sum), *der)
	case ed25519.PublicKey:
		if k.check != nil && len(sig) == ed25519.SignatureSize {
			if valid, known := k.check(input, sig); known {
				return valid
			}
		}
		return len(sig) == ed25519.SignatureSize && ed25519.Verify(p, input, sig)
	case *rsa.PublicKey:
		if len(sig) != p.Size() {
			return false
		}
		var sum [maxDigest]byte
		if info.family == familyPSS {
			return rsa.VerifyPSS(p, info.hash, digest(info.hash, input, &sum), sig, pss(info.hash)) == nil
		}
		return rsa.VerifyPKCS1v15(p, info.hash, digest(info.hash, input, &sum), sig) == nil
	case []byte:
		m := k.macs.Get().(hash.Hash)
		defer k.macs.Put(m)
		m.Reset()
		m.Write(input)
		var sum [maxDigest]byte
		return hmac.Equal(m.Sum(sum[:0]), sig) // constant time (TOK-35)
	}
	return false
}

// pss fixes the salt to the size of the hash (RFC 7518 section 3.5).
func pss(h crypto.Hash) *rsa.PSSOptions {
	return &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: h}
}

const maxDigest = sha512.Size

// digest hashes b into buf, which belongs to the caller. It returns the used part of buf.
func digest(h crypto.Hash, b []byte, buf *[maxDigest]byte) []byte {
	switch h {
	case crypto.SHA256:
		sum := sha256.Sum256(b)
		return append(buf[:0], sum[:]...)
	case crypto.SHA384:
		sum := sha512.Sum384(b)
		return append(buf[:0], sum[:]...)
	}
	sum := sha512.Sum512(b)
	return append(buf[:0], sum[:]...)
}

// coordinate is the size of a field element in bytes: 66 for P-521.
func coordinate(c elliptic.Curve) int { return (c.Params().BitSize + 7) / 8 }

// inRange reports whether 0 < n < order, for a big-endian n with the length of order. It need
// not run in constant time, because signatures are public.
func inRange(n, order []byte) bool {
	return bytes.Compare(n, order) < 0 && bytes.ContainsFunc(n, func(r rune) bool { return r != 0 })
}

// appendDER writes a signature as crypto/ecdsa reads it: a SEQUENCE of two
// INTEGERs (RFC 3279 section 2.2.3), each shorter than 128 bytes.
func appendDER(b, r, s []byte) []byte {
	r, s = bytes.TrimLeft(r, "\x00"), bytes.TrimLeft(s, "\x00")
	size := derLen(r) + derLen(s)
	b = append(b, 0x30)
	if size >= 0x80 {
		b = append(b, 0x81)
	}
	b = append(b, byte(size))
	for _, n := range [...][]byte{r, s} {
		b = append(b, 0x02, byte(derLen(n)-2))
		if n[0] >= 0x80 {
			b = append(b, 0) // without it the INTEGER would be negative
		}
		b = append(b, n...)
	}
	return b
}

func derLen(n []byte) int { return 2 + len(n) + int(n[0]>>7) }

package token

import "crypto/ecdh"

// Verify checks a raw signature, for published vectors whose headers are refused.
func (k Key) Verify(input, sig []byte) bool { return k.verify(input, sig, new([]byte)) }

// ConcatKDF is the key derivation of RFC 7518 section 4.6.2.
var ConcatKDF = concatKDF

// VerifyUntyped is VerifyJWS without the check of typ.
func VerifyUntyped(compact string, find func(kid string) (Key, bool)) (string, string, error) {
	return verifyJWS(compact, "", find)
}

// ReopenJWE is ParseJWE, then Reopen.
func ReopenJWE(compact, typ string, derive Derive) (string, error) {
	j, err := ParseJWE(compact, typ)
	if err != nil {
		return "", err
	}
	return j.Reopen(derive)
}

// Decode decodes base64url, and accepts one spelling.
func Decode(s string) ([]byte, error) { return decode(nil, s) }

// Wrap and Unwrap are RFC 3394.
var Wrap, Unwrap = wrap, unwrap

// Agree returns the shared secret of a private key and a sender's JWK.
func Agree(private *ecdh.PrivateKey, epk []byte) ([]byte, bool) {
	o, err := parseObject(string(epk))
	if err != nil {
		return nil, false
	}
	public, ok := parseEPK(o, private.Curve())
	if !ok {
		return nil, false
	}
	z, err := private.ECDH(public)
	return z, err == nil
}

// DecryptJWE is [ParseJWE], then [JWE.Open] with the key that find returns.
func DecryptJWE(compact, typ string, find func(kid string) (*Opener, bool)) (inner string, err error) {
	j, err := ParseJWE(compact, typ)
	if err != nil {
		return "", err
	}
	o, ok := find(j.KeyID())
	if !ok {
		return "", errJWE
	}
	return j.Open(o)
}

// Decrypt is DecryptJWE without the checks of typ, kid and contents.
func Decrypt(o *Opener, compact string) ([]byte, bool) {
	p, err := split(compact, 5)
	if err != nil {
		return nil, false
	}
	h, _ := parseHeader(p[0], "") // the error is ignored: a vector without a kid has one
	if h.alg == "" || h.enc != encGCM {
		return nil, false
	}
	aead, ok := o.contentKey(h, p[1])
	if !ok {
		return nil, false
	}
	var b [3][]byte
	for i, part := range p[2:] {
		if b[i], err = decode(nil, part); err != nil {
			return nil, false
		}
	}
	if len(b[0]) != ivSize || len(b[2]) != tagSize {
		return nil, false
	}
	text, err := aead.Open(nil, b[0], append(b[1], b[2]...), []byte(p[0]))
	return text, err == nil
}

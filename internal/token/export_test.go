package token

// Verify checks a raw signature, for published vectors whose headers are refused.
func (k Key) Verify(input, sig []byte) bool { return k.verify(input, sig) }

// ConcatKDF is the key derivation of RFC 7518 section 4.6.2.
var ConcatKDF = concatKDF

// VerifyUntyped is VerifyJWS without the look at typ.
func VerifyUntyped(compact string, find func(kid string) (Key, bool)) (string, string, error) {
	return verifyJWS(compact, "", find)
}

// Decode is base64url in its one spelling.
func Decode(s string) ([]byte, error) { return decode(nil, s) }

// Wrap and Unwrap are RFC 3394.
var Wrap, Unwrap = wrap, unwrap

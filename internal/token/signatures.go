package token

// Signatures is another way to check signatures by public keys than the standard library. Only packages
// of this project can make one: a program cannot have a verifier believe signatures that nobody checked (TOK-27).
type Signatures struct {
	of func(alg Alg, public any) CheckSignature
}

// CheckSignature reports whether sig is a signature over input, and known if it can tell. The length of sig is
// right, and the numbers in one of ECDSA are between 0 and the order of the curve. It may be called at any time by
// several goroutines.
type CheckSignature func(input, sig []byte) (valid, known bool)

// NewSignatures returns a way to check. of returns the check for a key, or nil if it has none.
func NewSignatures(of func(alg Alg, public any) CheckSignature) *Signatures { return &Signatures{of} }

// With returns k, whose signatures are checked by s where s can. A nil s changes nothing.
func (k Key) With(s *Signatures) Key {
	if s != nil {
		k.check = s.of(k.alg, k.public)
	}
	return k
}

package pack

// alphabet is a set of characters that take fewer than eight bits each.
type alphabet struct {
	chars string
	width int
	value [256]byte
	has   [256]bool
}

var (
	five = newAlphabet("abcdefghijklmnopqrstuvwxyz234567", 5)
	six  = newAlphabet("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", 6)
)

func newAlphabet(chars string, width int) *alphabet {
	a := &alphabet{chars: chars, width: width}
	for i, c := range []byte(chars) {
		a.value[c], a.has[c] = byte(i), true
	}
	return a
}

// run returns how many characters at the start of s are in a, up to 255.
func (a *alphabet) run(s string) int {
	n := 0
	for n < len(s) && n < 255 && a.has[s[n]] {
		n++
	}
	return n
}

// size returns how many bytes n characters need.
func (a *alphabet) size(n int) int { return (n*a.width + 7) / 8 }

func (a *alphabet) append(dst []byte, s string) []byte {
	acc, bits := uint(0), 0
	for _, c := range []byte(s) {
		acc, bits = acc<<a.width|uint(a.value[c]), bits+a.width
		if bits >= 8 {
			bits -= 8
			dst = append(dst, byte(acc>>bits))
		}
	}
	if bits > 0 {
		dst = append(dst, byte(acc<<(8-bits)))
	}
	return dst
}

// appendChars is the inverse of append, for n characters.
func (a *alphabet) appendChars(dst, b []byte, n int) []byte {
	acc, bits, at := uint(0), 0, 0
	for range n {
		if bits < a.width {
			acc, bits, at = acc<<8|uint(b[at]), bits+8, at+1
		}
		bits -= a.width
		dst = append(dst, a.chars[acc>>bits&(1<<a.width-1)])
	}
	return dst
}

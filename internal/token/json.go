package token

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// Limits of strict JSON (TOK-13).
const (
	maxDepth   = 8
	maxMembers = 64 // of one object
)

// number is a JSON number as written; what range it must lie in depends on the
// member that holds it.
type number string

// object is a JSON object. Its names are compared exactly, where encoding/json
// would let "Exp", and with U+212A even "Kid", stand for another (TOK-12).
type object = map[string]any

// CheckJSON reports whether data is one JSON object that every reader understands
// alike (RFC 8725 section 2.4): no member twice at any depth, valid UTF-8 without
// a BOM, no half of a surrogate pair, nothing after the object, at most 8 levels
// deep and 64 members wide. encoding/json accepts all that CheckJSON does. It does
// not limit the size of data: the caller has read it already.
func CheckJSON(data []byte) error {
	_, err := parseObject(data)
	return err
}

// parseObject returns the members of the strict JSON object in data as string,
// number, bool, nil, []any or object.
func parseObject(data []byte) (object, error) {
	if !utf8.Valid(data) {
		return nil, refuse("JSON is not UTF-8")
	}
	s := scanner{data: data}
	s.space()
	if s.peek() != '{' { // also refuses a BOM
		return nil, refuse("not a JSON object")
	}
	v, err := s.value(1)
	if err != nil {
		return nil, err
	}
	if s.space(); s.pos != len(data) {
		return nil, refuse("data after the JSON object")
	}
	return v.(object), nil
}

type scanner struct {
	data []byte // valid UTF-8
	pos  int
}

// peek returns the next byte, or 0 at the end; no JSON token begins with NUL.
func (s *scanner) peek() byte {
	if s.pos < len(s.data) {
		return s.data[s.pos]
	}
	return 0
}

func (s *scanner) take(c byte) bool {
	if s.pos < len(s.data) && s.data[s.pos] == c {
		s.pos++
		return true
	}
	return false
}

func (s *scanner) space() {
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ' ', '\t', '\r', '\n':
			s.pos++
		default:
			return
		}
	}
}

func (s *scanner) word(w string) bool {
	if len(s.data)-s.pos < len(w) || string(s.data[s.pos:s.pos+len(w)]) != w {
		return false
	}
	s.pos += len(w)
	return true
}

// value reads a value whose own depth, should it be a container, is depth. The
// limit bounds the recursion, so nesting cannot exhaust the stack.
func (s *scanner) value(depth int) (any, error) {
	s.space()
	switch c := s.peek(); {
	case c == '{' || c == '[':
		if depth > maxDepth {
			return nil, refuse("JSON nested too deep")
		}
		if c == '{' {
			return s.object(depth)
		}
		return s.array(depth)
	case c == '"':
		return s.string()
	case c == '-' || '0' <= c && c <= '9':
		return s.number()
	case s.word("true"):
		return true, nil
	case s.word("false"):
		return false, nil
	case s.word("null"):
		return nil, nil
	}
	return nil, refuse("JSON syntax")
}

func (s *scanner) object(depth int) (any, error) {
	s.pos++ // {
	o := object{}
	if s.space(); s.take('}') {
		return o, nil
	}
	for {
		s.space()
		name, err := s.string()
		if err != nil {
			return nil, err
		}
		// Compared after unescaping: "s\u0075b" is "sub" (TOK-11).
		if _, twice := o[name]; twice {
			return nil, refuse("JSON member twice")
		}
		if len(o) == maxMembers {
			return nil, refuse("too many JSON members")
		}
		if s.space(); !s.take(':') {
			return nil, refuse("JSON syntax")
		}
		if o[name], err = s.value(depth + 1); err != nil {
			return nil, err
		}
		s.space()
		if s.take('}') {
			return o, nil
		}
		if !s.take(',') {
			return nil, refuse("JSON syntax")
		}
	}
}

func (s *scanner) array(depth int) (any, error) {
	s.pos++ // [
	a := []any{}
	if s.space(); s.take(']') {
		return a, nil
	}
	for {
		v, err := s.value(depth + 1)
		if err != nil {
			return nil, err
		}
		a = append(a, v)
		s.space()
		if s.take(']') {
			return a, nil
		}
		if !s.take(',') {
			return nil, refuse("JSON syntax")
		}
	}
}

// string reads a string (RFC 8259 section 7). A lone surrogate is refused:
// encoding/json makes U+FFFD of each, and with that one name of two.
func (s *scanner) string() (string, error) {
	if !s.take('"') {
		return "", refuse("JSON syntax")
	}
	var b []byte
	for s.pos < len(s.data) {
		c := s.data[s.pos]
		s.pos++
		switch {
		case c == '"':
			return string(b), nil
		case c < 0x20:
			return "", refuse("control character in a JSON string")
		case c != '\\':
			b = append(b, c)
		default:
			r, err := s.escape()
			if err != nil {
				return "", err
			}
			b = utf8.AppendRune(b, r)
		}
	}
	return "", refuse("JSON syntax")
}

func (s *scanner) escape() (rune, error) {
	c := s.peek()
	s.pos++
	switch c {
	case '"', '\\', '/':
		return rune(c), nil
	case 'b':
		return '\b', nil
	case 'f':
		return '\f', nil
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	case 'u':
		r, err := s.hex()
		if err != nil || !utf16.IsSurrogate(r) {
			return r, err
		}
		if !s.word(`\u`) {
			return 0, refuse("lone surrogate in JSON")
		}
		low, err := s.hex()
		if err != nil {
			return 0, err
		}
		if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
			return 0, refuse("lone surrogate in JSON")
		}
		return r, nil
	}
	return 0, refuse("JSON syntax")
}

func (s *scanner) hex() (rune, error) {
	var r rune
	for range 4 {
		c := s.peek()
		s.pos++
		switch {
		case '0' <= c && c <= '9':
			r = r<<4 | rune(c-'0')
		case 'a' <= c && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case 'A' <= c && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, refuse("JSON syntax")
		}
	}
	return r, nil
}

// number reads a number by the grammar of RFC 8259 section 6. One beyond float64,
// such as 1e999, is refused: readers disagree about what it is (TOK-22).
func (s *scanner) number() (any, error) {
	start := s.pos
	s.take('-')
	if !s.take('0') && !s.digits() {
		return nil, refuse("JSON number")
	}
	if s.take('.') && !s.digits() {
		return nil, refuse("JSON number")
	}
	if s.take('e') || s.take('E') {
		if !s.take('+') {
			s.take('-')
		}
		if !s.digits() {
			return nil, refuse("JSON number")
		}
	}
	n := string(s.data[start:s.pos])
	if _, err := strconv.ParseFloat(n, 64); err != nil {
		return nil, refuse("JSON number out of range")
	}
	return number(n), nil
}

func (s *scanner) digits() bool {
	start := s.pos
	for '0' <= s.peek() && s.peek() <= '9' {
		s.pos++
	}
	return s.pos > start
}

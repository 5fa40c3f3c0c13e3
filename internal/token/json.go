package token

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Limits of strict JSON (TOK-13).
const (
	maxDepth   = 8
	maxMembers = 64 // of one object
)

// number is a JSON number as it is written. Its permitted range depends on the member.
type number string

// object is a JSON object. Names are compared exactly. encoding/json would accept "Exp" for
// "exp", and even "Kid" with U+212A for "kid" (TOK-12).
type object = map[string]any

// CheckJSON refuses data unless it is one JSON object that all readers understand in the same
// way (RFC 8725 section 2.4). No member occurs twice, at any depth. The text is valid UTF-8
// without a BOM, and has no half of a surrogate pair. Nothing follows the object. It is at
// most 8 levels deep, and no object has more than 64 members. encoding/json accepts everything
// that CheckJSON accepts. CheckJSON does not limit the size of data, which the caller has
// already read.
func CheckJSON(data []byte) error {
	s, err := scan(string(data))
	if err != nil {
		return err
	}
	if err := s.skip(1); err != nil {
		return err
	}
	return s.end()
}

// ReadObject reads data by the rules of [CheckJSON], and has member called for each member of
// the object, in order. member must read the value, by one method of v.
func ReadObject(data []byte, member func(name string, v *Value) error) error {
	s, err := scan(string(data))
	if err != nil {
		return err
	}
	v := &Value{s, 1}
	if err := v.Object(member); err != nil {
		return err
	}
	return v.s.end()
}

// Value is the next value of strict JSON, for the caller who knows of what type it must be.
type Value struct {
	s     scanner
	depth int // of the value, if it is an object or an array
}

// Object reads an object as ReadObject does. Names are compared exactly (TOK-12).
func (v *Value) Object(member func(name string, v *Value) error) error {
	m := members{depth: v.depth}
	v.depth++
	for m.next(&v.s) {
		m.err = member(m.name, v)
	}
	v.depth--
	return m.err
}

// Array has element called for each element, which it must read.
func (v *Value) Array(element func(v *Value) error) error {
	e := elements{depth: v.depth}
	v.depth++
	for e.next(&v.s) {
		e.err = element(v)
	}
	v.depth--
	return e.err
}

// Text reads a string. It may be a part of the whole data, and keep all of that in memory.
func (v *Value) Text() (string, error) { return v.s.string() }

// Raw reads any value, checks it by the rules of [CheckJSON], and returns its text.
func (v *Value) Raw() (string, error) {
	begin := v.s.pos
	if err := v.s.skip(v.depth); err != nil {
		return "", err
	}
	return v.s.data[begin:v.s.pos], nil
}

// Integer reads a number that has neither a fraction nor an exponent.
func (v *Value) Integer() (int64, error) {
	n, err := v.s.number()
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(string(n), 10, 64)
}

// parseObject returns the members of the strict JSON object in data. A value is a string,
// number, bool, nil, []any or object.
func parseObject(data string) (object, error) {
	s, err := scan(data)
	if err != nil {
		return nil, err
	}
	o, err := s.object(1)
	if err == nil {
		err = s.end()
	}
	if err != nil {
		return nil, err
	}
	return o, nil
}

// scan returns a scanner at the start of the object. It refuses data that is not an object.
func scan(data string) (scanner, error) {
	s := scanner{data: data, plain: plain(data)}
	if !s.plain && !utf8.ValidString(data) {
		return scanner{}, refuse("JSON is not UTF-8")
	}
	s.space()
	if s.peek() != '{' { // also refuses a BOM
		return scanner{}, refuse("not a JSON object")
	}
	return s, nil
}

// scanner reads strict JSON. Where it can, it returns parts of data. So it allocates nothing
// to skip a value, or to read a string without escapes.
type scanner struct {
	data  string // valid UTF-8
	plain bool   // see the function plain
	pos   int    // never beyond the end of data
}

// plain reports whether s has only printable ASCII characters, and no backslash. A string in such JSON ends at the next
// quotation mark.
func plain(s string) bool {
	const each = 0x01010101_01010101
	bad := uint64(0) // at the top bit of each byte
	for ; len(s) >= 8; s = s[8:] {
		w := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 | uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
		bad |= w | (w + each) | ^(w + each*(0x80-' ')) | ^((w ^ each*'\\') + each*0x7f)
	}
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '\\' {
			return false
		}
	}
	return bad&(each*0x80) == 0
}

// peek returns the next byte, or 0 at the end. No JSON token begins with NUL.
func (s *scanner) peek() byte {
	if s.pos < len(s.data) {
		return s.data[s.pos]
	}
	return 0
}

// next takes the next byte, or returns 0 at the end.
func (s *scanner) next() byte {
	if s.pos == len(s.data) {
		return 0
	}
	s.pos++
	return s.data[s.pos-1]
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
	if !strings.HasPrefix(s.data[s.pos:], w) {
		return false
	}
	s.pos += len(w)
	return true
}

// end refuses anything after the object.
func (s *scanner) end() error {
	if s.space(); s.pos != len(s.data) {
		return refuse("data after the JSON object")
	}
	return nil
}

// value reads the next value. depth is its depth if it is an object or an array.
func (s *scanner) value(depth int) (any, error) {
	switch c := s.peek(); {
	case c == '{':
		return s.object(depth)
	case c == '[':
		list := []any{}
		e := elements{depth: depth}
		for e.next(s) {
			var v any
			v, e.err = s.value(depth + 1)
			list = append(list, v)
		}
		return list, e.err
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

func (s *scanner) object(depth int) (object, error) {
	o := object{}
	m := members{depth: depth}
	for m.next(s) {
		o[m.name], m.err = s.value(depth + 1)
	}
	return o, m.err
}

// skip reads a value, checks it by the same rules, and returns nothing of it.
func (s *scanner) skip(depth int) (err error) {
	switch c := s.peek(); {
	case c == '{':
		m := members{depth: depth}
		for m.next(s) {
			m.err = s.skip(depth + 1)
		}
		return m.err
	case c == '[':
		e := elements{depth: depth}
		for e.next(s) {
			e.err = s.skip(depth + 1)
		}
		return e.err
	case c == '"':
		err = s.skipString()
	case c == '-' || '0' <= c && c <= '9':
		_, err = s.number()
	case s.word("true"), s.word("false"), s.word("null"):
	default:
		err = refuse("JSON syntax")
	}
	return err
}

// members iterates over one object:
//
//	for m.next(s) { m.err = read the value of m.name }
//	return m.err
//
// maxDepth bounds the recursion, so that nesting cannot exhaust the stack.
type members struct {
	depth int
	name  string
	err   error

	n     int
	names [maxMembers]string // the names so far, compared one by one: a map would be slower
	bloom uint64             // a Bloom filter of names: for most new names it is enough
}

// bloomBit returns the bit of a name in the filter. Several names may have the same bit.
func bloomBit(name string) uint64 {
	n := len(name)
	if n == 0 {
		return 1
	}
	return 1 << ((uint(n) + 7*uint(name[0]) + 31*uint(name[n-1])) % 64)
}

func (m *members) next(s *scanner) bool {
	if m.err != nil {
		return false
	}
	if more, err := s.step(m.depth, m.n == 0, '{', '}'); !more {
		m.err = err
		return false
	}
	if m.name, m.err = s.string(); m.err != nil {
		return false
	}
	bit := bloomBit(m.name)
	switch {
	case m.n == maxMembers:
		m.err = refuse("too many JSON members")
	case m.bloom&bit != 0 && slices.Contains(m.names[:m.n], m.name): // after unescaping: "s\u0075b" is "sub" (TOK-11)
		m.err = refuse("JSON member twice")
	default:
		m.names[m.n] = m.name
		m.bloom |= bit
		m.n++
		if s.space(); !s.take(':') {
			m.err = refuse("JSON syntax")
		}
		s.space()
	}
	return m.err == nil
}

// elements iterates over one array, as members does over an object.
type elements struct {
	depth int
	n     int
	err   error
}

func (e *elements) next(s *scanner) bool {
	if e.err != nil {
		return false
	}
	var more bool
	more, e.err = s.step(e.depth, e.n == 0, '[', ']')
	e.n++
	return more
}

// step goes to the next member or element of a container, or past its end.
func (s *scanner) step(depth int, first bool, begin, end byte) (more bool, err error) {
	if first {
		if depth > maxDepth {
			return false, refuse("JSON nested too deep")
		}
		if !s.take(begin) {
			return false, refuse("JSON syntax")
		}
		s.space()
		return !s.take(end), nil
	}
	s.space()
	if s.take(end) {
		return false, nil
	}
	if !s.take(',') {
		return false, refuse("JSON syntax")
	}
	s.space()
	return true, nil
}

// string reads a string (RFC 8259 section 7). It refuses a lone surrogate: encoding/json
// replaces each with U+FFFD, so two different names would become one.
func (s *scanner) string() (string, error) {
	if !s.take('"') {
		return "", refuse("JSON syntax")
	}
	rest := s.data[s.pos:]
	if s.plain {
		n := strings.IndexByte(rest, '"')
		if n < 0 {
			return "", refuse("JSON syntax")
		}
		s.pos += n + 1
		return rest[:n], nil
	}
	for n := range len(rest) {
		switch c := rest[n]; {
		case c == '"':
			s.pos += n + 1
			return rest[:n], nil
		case c == '\\':
			s.pos += n
			return s.escaped([]byte(rest[:n]))
		case c < 0x20:
			return "", refuse("control character in a JSON string")
		}
	}
	return "", refuse("JSON syntax")
}

// escaped reads the rest of a string from its first escape on, after b.
func (s *scanner) escaped(b []byte) (string, error) {
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

// skipString reads a string as string does, and makes nothing of it.
func (s *scanner) skipString() error {
	s.pos++ // the quote
	for s.pos < len(s.data) {
		c := s.data[s.pos]
		s.pos++
		switch {
		case c == '"':
			return nil
		case c < 0x20:
			return refuse("control character in a JSON string")
		case c == '\\':
			if _, err := s.escape(); err != nil {
				return err
			}
		}
	}
	return refuse("JSON syntax")
}

func (s *scanner) escape() (rune, error) {
	switch c := s.next(); c {
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
		switch c := s.next(); {
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

// number reads a number by the grammar of RFC 8259 section 6. It refuses a number beyond
// float64, such as 1e999, because readers disagree about its value (TOK-22).
func (s *scanner) number() (number, error) {
	start := s.pos
	s.take('-')
	if !s.take('0') && !s.digits() {
		return "", refuse("JSON number")
	}
	if s.take('.') && !s.digits() {
		return "", refuse("JSON number")
	}
	exponent := s.take('e') || s.take('E')
	if exponent {
		if !s.take('+') {
			s.take('-')
		}
		if !s.digits() {
			return "", refuse("JSON number")
		}
	}
	n := s.data[start:s.pos]
	if exponent || len(n) > 300 { // a shorter number without an exponent is always in range
		if _, err := strconv.ParseFloat(n, 64); err != nil {
			return "", refuse("JSON number out of range")
		}
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

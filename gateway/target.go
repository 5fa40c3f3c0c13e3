package gateway

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/counterfoil/counterfoil/internal/refusal"
)

// Oddity is a way to spell a path that two programs may read differently. A path with one is
// refused, unless its route allows it by name. A route that allows one says that the service
// behind it reads such a path as the gateway does: as it is written, without resolving it. A
// path that would lead elsewhere if it were resolved is refused all the same.
type Oddity string

// The oddities. What is not listed here is never allowed: dot segments, backslashes, control
// characters, fragments, invalid UTF-8 and escapes that are none.
const (
	EncodedSlash Oddity = "encoded-slash" // %2F: a slash inside a segment
	EmptySegment Oddity = "empty-segment" // //
	Semicolon    Oddity = "semicolon"     // ;, which some programs cut a segment at
	DoubleEscape Oddity = "double-escape" // %25 before two hexadecimal digits: an escape after decoding
)

var oddities = []Oddity{EncodedSlash, EmptySegment, Semicolon, DoubleEscape}

// target is what a request asks for, in the one spelling that is decided about.
type target struct {
	origin string   // scheme, host and port, as a browser would send it in Origin
	raw    string   // path and query, byte for byte as the upstream gets them
	path   string   // decoded once; an encoded slash is slashInside, so segments are those of raw
	odd    []Oddity // of the path
}

// slashInside stands for an encoded slash in a decoded path. No path has it otherwise.
const slashInside = '\x00'

const (
	maxTarget     = 16 << 10 // bytes
	maxParameters = 1000     // of a query (GW-20)
	mostEscaped   = 8        // times that a segment is decoded to look for dots
)

func badTarget(detail string) *refusal.Problem {
	return &refusal.Problem{Status: 400, Type: "bad-target", Title: "The URL is ambiguous", Detail: detail}
}

// parse reads what q asks for. A URL that a second reader could understand otherwise is
// refused and never mended (GW-07, GW-08, GW-19, GW-20).
func (t *target) parse(q *question) *refusal.Problem {
	origin, ok := originOf(q.scheme, q.host)
	if !ok {
		return badTarget("the host is malformed")
	}
	t.origin, t.raw = origin, q.uri
	if len(q.uri) > maxTarget {
		return badTarget("the URL is too long")
	}
	if !strings.HasPrefix(q.uri, "/") {
		return badTarget("the path does not begin with a slash")
	}
	path, query, _ := strings.Cut(q.uri, "?")
	if err := t.readPath(path); err != nil {
		return err
	}
	return checkQuery(query)
}

// readPath decodes a path once. Segments are compared decoded, and an encoded slash is no
// boundary of segments.
func (t *target) readPath(raw string) *refusal.Problem {
	if plain(raw) { // most paths
		t.path = raw
	} else if err := t.decode(raw); err != nil {
		return err
	}
	rest, more := strings.TrimPrefix(t.path, "/"), true
	for more {
		var segment string
		segment, rest, more = strings.Cut(rest, "/")
		if segment == "." || segment == ".." || len(t.odd) > 0 && leadsAway(segment) {
			return badTarget("the path has a dot segment")
		}
		if segment == "" && more {
			t.note(EmptySegment)
		}
	}
	return nil
}

// leadsAway reports whether a segment is a dot segment for anybody: as it is, behind an encoded
// slash or backslash, before a semicolon, or after it is decoded again (GW-07). What is escaped
// more often than anybody means is taken for one.
func leadsAway(segment string) bool {
	for range mostEscaped {
		for part := range strings.FieldsFuncSeq(segment, func(r rune) bool { return r == slashInside || r == '/' || r == '\\' }) {
			if name, _, _ := strings.Cut(part, ";"); name == "." || name == ".." {
				return true
			}
		}
		again := unescape(segment)
		if again == segment {
			return false
		}
		segment = again
	}
	return true
}

// readings returns the path as other programs may read it that resolve some or all of its
// oddities: which of them the service does is not known.
func (t *target) readings() []string {
	if len(t.odd) == 0 {
		return nil
	}
	resolve := []func(string) string{
		unescape,
		func(path string) string { return strings.ReplaceAll(path, string(slashInside), "/") },
		func(path string) string {
			segments := strings.Split(path, "/")
			for n := range segments {
				segments[n], _, _ = strings.Cut(segments[n], ";")
			}
			return strings.Join(segments, "/")
		},
		func(path string) string {
			for strings.Contains(path, "//") {
				path = strings.ReplaceAll(path, "//", "/")
			}
			return path
		},
	}
	var all []string
	for some := 1; some < 1<<len(resolve); some++ {
		path := t.path
		for n, one := range resolve {
			if some>>n&1 == 1 {
				path = one(path)
			}
		}
		all = append(all, path)
	}
	return all
}

// unescape decodes the escapes in text, and leaves a percent sign that begins none.
func unescape(text string) string {
	if strings.IndexByte(text, '%') < 0 {
		return text
	}
	var decoded strings.Builder
	for n := 0; n < len(text); n++ {
		c := text[n]
		if c == '%' && n+2 < len(text) && isHex(text[n+1]) && isHex(text[n+2]) {
			c = unhex(text[n+1])<<4 | unhex(text[n+2])
			n += 2
		}
		decoded.WriteByte(c)
	}
	return decoded.String()
}

// plain reports whether raw has nothing to decode and nothing to refuse, but for its segments.
func plain(raw string) bool {
	for n := range len(raw) {
		switch c := raw[n]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c >= 'A' && c <= 'Z', c == '/', c == '-', c == '_', c == '.', c == '~', c == '@', c == ':', c == '+', c == ',', c == '=':
		default:
			return false
		}
	}
	return true
}

func (t *target) decode(raw string) *refusal.Problem {
	var path strings.Builder
	for n := 0; n < len(raw); n++ {
		c := raw[n]
		switch {
		case c == '%':
			if n+2 >= len(raw) || !isHex(raw[n+1]) || !isHex(raw[n+2]) {
				return badTarget("the path has a percent sign that begins no escape")
			}
			c = unhex(raw[n+1])<<4 | unhex(raw[n+2])
			n += 2
			if c == '/' {
				t.note(EncodedSlash)
				path.WriteByte(slashInside)
				continue
			}
		case c == '#':
			return badTarget("the path has a fragment")
		case c == ' ': // an escaped one is a name with a space
			return badTarget("the path has a space")
		}
		switch {
		case c < ' ' || c == 0x7f:
			return badTarget("the path has a control character")
		case c == '\\':
			return badTarget("the path has a backslash")
		case c == ';':
			t.note(Semicolon)
		}
		path.WriteByte(c)
	}
	if t.path = path.String(); !utf8.ValidString(t.path) {
		return badTarget("the path is not UTF-8")
	}
	for n := range len(t.path) - 2 {
		if t.path[n] == '%' && isHex(t.path[n+1]) && isHex(t.path[n+2]) {
			t.note(DoubleEscape)
		}
	}
	return nil
}

func (t *target) note(o Oddity) {
	if !slices.Contains(t.odd, o) {
		t.odd = append(t.odd, o)
	}
}

// checkQuery refuses a query that the gateway and the upstream may cut differently.
func checkQuery(query string) *refusal.Problem {
	if strings.Count(query, "&") >= maxParameters {
		return badTarget("the query has too many parameters")
	}
	for n := range len(query) {
		switch c := query[n]; {
		case c < ' ' || c == 0x7f || c == '#' || c == ';':
			return badTarget("the query has a character that it may not have")
		case c == '%' && (n+2 >= len(query) || !isHex(query[n+1]) || !isHex(query[n+2])):
			return badTarget("the query has a percent sign that begins no escape")
		}
	}
	return nil
}

// originOf returns the origin of a host, in the spelling of browsers. A host in capitals, with
// a dot at its end or with the default port is the same host (GW-19).
func originOf(scheme, host string) (string, bool) {
	port := ""
	switch scheme {
	case "https":
		port = ":443"
	case "http":
		port = ":80"
	default:
		return "", false
	}
	for n := range len(host) {
		if c := host[n]; !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c == '-' || c == '.' || c == ':' || c == '[' || c == ']') {
			return "", false
		}
	}
	host = strings.TrimSuffix(strings.ToLower(host), port)
	name, end := host, ""
	if n := strings.LastIndexByte(host, ':'); n > strings.LastIndexByte(host, ']') {
		name, end = host[:n], host[n:]
	}
	name = strings.TrimSuffix(name, ".")
	if name == "" || end == ":" {
		return "", false
	}
	return scheme + "://" + name + end, true
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&^0x20 - 'A' + 10
}

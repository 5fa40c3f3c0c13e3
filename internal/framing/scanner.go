// Package framing finds where each HTTP/1.x request of a connection ends, and refuses what two
// programs may read in two ways: request smuggling needs a proxy and a service that see the end
// of a request in different places (RFC 9112 section 11.2).
//
// A [Scanner] follows the bytes of a connection. What it lets through, net/http reads as the same
// requests with the same ends. It knows no URL, and no header other than the three that say where
// a request goes and ends.
package framing

import "math"

// Fault says why a request is refused. There are few, so that they can be the labels of a metric.
type Fault string

// The faults of a head, and of chunks and trailers.
const (
	None           Fault = ""
	BareLF         Fault = "bare-lf"              // a line that ends without CR
	BareCR         Fault = "bare-cr"              // CR, and no LF after it
	Control        Fault = "control-character"    // NUL and others in a value or a target
	RequestLine    Fault = "request-line"         // other than a method, a target and a version, with one space between
	Version        Fault = "version"              // neither HTTP/1.1 nor HTTP/1.0
	Folded         Fault = "folded-line"          // a line that begins with a space goes on with the one before it
	Name           Fault = "header-name"          // a space before the colon, no name, no colon
	Hosts          Fault = "host"                 // none in HTTP/1.1, or several
	Length         Fault = "content-length"       // no number, a list, or several
	Coding         Fault = "transfer-encoding"    // other than "chunked" once, or in HTTP/1.0
	TwoLengths     Fault = "two-lengths"          // Content-Length and Transfer-Encoding
	Chunk          Fault = "chunk"                // a size that is none or has no end, or data that goes on
	TrailerFraming Fault = "framing-in-a-trailer" // a trailer that a service may take for a header
)

// Faults are all but None.
var Faults = []Fault{BareLF, BareCR, Control, RequestLine, Version, Folded, Name, Hosts, Length, Coding, TwoLengths, Chunk, TrailerFraming}

// Scanner follows the requests of one connection. The zero Scanner is before the first byte.
type Scanner struct {
	state   state
	old     bool  // HTTP/1.0
	trailer bool  // the lines are after the last chunk
	at      int   // bytes of what the state reads
	names   uint8 // which of the fields the name under way may be, by bits
	field   uint8 // the field of the value under way: one bit, or 0
	seen    uint8 // fields that there were
	length  int64 // the value of Content-Length
	left    int64 // bytes of the body or of the chunk that are to come
}

// state is what the next byte belongs to.
type state uint8

const (
	inMethod state = iota
	inTarget
	inVersion
	lineEnd   // after the CR of the request line or of a field
	lineStart // of a field, or of the empty line
	inName
	inValue
	headEnd // after the CR of the empty line

	inBody
	inSize
	inExtension
	sizeEnd // after the CR
	inChunk
	chunkCR
	chunkLF
)

// The fields that decide where a request goes and ends.
const (
	host uint8 = 1 << iota
	contentLength
	transferEncoding
)

var fields = [...]string{"host", "content-length", "transfer-encoding"}

// maxSize is how many digits a chunk size has at most: less than 2^60 bytes.
const maxSize = 15

// Scan takes the next bytes of the connection. It returns how many of them are good, and what is
// wrong with the next one. After a fault, the connection has nothing more that could be read.
//
// A request is whole only when its last byte is good.
func (s *Scanner) Scan(p []byte) (int, Fault) {
	for i := 0; i < len(p); {
		switch s.state {
		case inBody, inChunk:
			n := int(min(s.left, int64(len(p)-i)))
			s.left -= int64(n)
			i += n
			if s.left == 0 {
				s.bodyRead()
			}
			continue
		case inTarget:
			i += s.skip(p[i:], visible)
		case inName:
			if s.names == 0 {
				i += s.skip(p[i:], token)
			}
		case inValue:
			if s.field&(contentLength|transferEncoding) == 0 {
				i += s.skip(p[i:], text)
			}
		case inExtension:
			i += s.skip(p[i:], text)
		}
		if i == len(p) {
			break
		}
		if fault := s.next(p[i]); fault != None {
			return i, fault
		}
		i++
	}
	return len(p), None
}

// Spoiled stands for no end of a line, of a chunk or of trailers. A reader of HTTP that gets it in
// place of a faulty byte of a body refuses that body, and waits for no further byte.
const Spoiled = "\r\r\n\r\n"

// InBody reports whether the next byte belongs to the body of a request whose head is whole.
func (s *Scanner) InBody() bool { return s.state >= inBody || s.trailer }

// skip returns how many bytes of p are of the class.
func (s *Scanner) skip(p []byte, class uint8) (n int) {
	switch class {
	case visible:
		n = plain(p, '!')
	case text:
		n = plain(p, ' ')
	}
	for n < len(p) && classes[p[n]]&class != 0 {
		n++
	}
	s.at += n
	return n
}

func (s *Scanner) bodyRead() {
	if s.state == inBody {
		*s = Scanner{}
		return
	}
	s.state = chunkCR
}

// next takes one byte.
func (s *Scanner) next(c byte) Fault {
	if c == '\n' && s.state != lineEnd && s.state != headEnd && s.state != sizeEnd && s.state != chunkLF {
		return BareLF
	}
	switch s.state {
	case inMethod, inTarget, inVersion:
		return s.requestLine(c)
	case lineEnd:
		return s.newline(c, lineStart)
	case lineStart, inName:
		return s.name(c)
	case inValue:
		return s.value(c)
	case headEnd:
		if c != '\n' {
			return BareCR
		}
		return s.headRead()
	}
	return s.chunk(c)
}

// newline takes the LF after a CR.
func (s *Scanner) newline(c byte, then state) Fault {
	if c != '\n' {
		return BareCR
	}
	s.state, s.at = then, 0
	return None
}

// requestLine takes a byte of "method SP target SP version CR" (RFC 9112 section 3). An empty line
// before it is refused as well: net/http skips some after a POST, and others skip more.
func (s *Scanner) requestLine(c byte) Fault {
	const version = "HTTP/1."
	switch {
	case s.state == inVersion && s.at < len(version):
		if c != version[s.at] {
			return Version
		}
		s.at++
	case s.state == inVersion && s.at == len(version):
		if c != '0' && c != '1' {
			return Version
		}
		s.old = c == '0'
		s.at++
	case s.state == inVersion:
		if c != '\r' {
			return Version
		}
		s.state = lineEnd
	case c == ' ' && s.at > 0: // after the method or the target
		s.state, s.at = s.state+1, 0
	case s.state == inMethod && classes[c]&token != 0:
		s.at++
	case s.state == inTarget && c != ' ' && c != '\r': // visible ones are skipped
		return Control
	default:
		return RequestLine
	}
	return None
}

// name takes a byte of the name of a field, or the first of a line (RFC 9112 section 5).
func (s *Scanner) name(c byte) Fault {
	first := s.state == lineStart
	switch {
	case classes[c]&token != 0:
		if first {
			s.state, s.names, s.at = inName, begins[c], 1
			return None
		}
		for n, f := range fields {
			if s.at >= len(f) || f[s.at] != lower(c) {
				s.names &^= 1 << n
			}
		}
		s.at++
		return None
	case c == ':' && !first:
		return s.begin()
	case c == '\r' && first:
		s.state = headEnd
		return None
	case first && (c == ' ' || c == '\t'):
		return Folded
	}
	return Name
}

// begin begins the value of a field.
func (s *Scanner) begin() Fault {
	s.field = 0
	for n, f := range fields {
		if s.names&(1<<n) != 0 && s.at == len(f) {
			s.field = 1 << n
		}
	}
	s.state, s.at = inValue, 0
	again := s.seen&s.field != 0
	s.seen |= s.field
	switch {
	case s.field == 0:
		return None
	case s.trailer:
		return TrailerFraming
	case s.seen&contentLength != 0 && s.seen&transferEncoding != 0:
		return TwoLengths
	case again && s.field == host:
		return Hosts
	case again && s.field == contentLength:
		return Length
	case s.field == transferEncoding && (again || s.old):
		return Coding
	}
	return None
}

// value takes a byte of a value. at counts the bytes between the blanks around it; it is negative
// in the blanks after it.
func (s *Scanner) value(c byte) Fault {
	const chunked = "chunked"
	blank := c == ' ' || c == '\t'
	switch {
	case c == '\r':
		if s.field == contentLength && s.at == 0 {
			return Length
		}
		if s.field == transferEncoding && s.at >= 0 && s.at != len(chunked) {
			return Coding
		}
		s.state = lineEnd
	case s.field != contentLength && s.field != transferEncoding: // good ones are skipped
		return Control
	case blank && s.at <= 0:
	case s.field == contentLength:
		switch {
		case blank:
			s.at = -1
		case c < '0' || c > '9' || s.at < 0 || s.length > (math.MaxInt64-9)/10:
			return Length
		default:
			s.length = s.length*10 + int64(c-'0')
			s.at++
		}
	default:
		switch {
		case blank && s.at == len(chunked):
			s.at = -1
		case s.at < 0 || s.at >= len(chunked) || lower(c) != chunked[s.at]:
			return Coding
		default:
			s.at++
		}
	}
	return None
}

// headRead ends a head, or the trailers.
func (s *Scanner) headRead() Fault {
	switch {
	case s.trailer:
		*s = Scanner{}
	case s.seen&host == 0 && !s.old:
		return Hosts
	case s.seen&transferEncoding != 0:
		*s = Scanner{state: inSize}
	case s.length > 0:
		*s = Scanner{state: inBody, left: s.length}
	default:
		*s = Scanner{}
	}
	return None
}

// chunk takes a byte of the chunked coding (RFC 9112 section 7.1). There are no blanks around a
// size. Extensions are read over.
func (s *Scanner) chunk(c byte) Fault {
	digit := digits[c]
	switch {
	case s.state == inSize && digit >= 0 && s.at < maxSize:
		s.left = s.left<<4 | int64(digit)
		s.at++
	case s.state == inSize && s.at > 0 && c == ';':
		s.state = inExtension
	case s.state == inSize && s.at > 0 && c == '\r', s.state == inExtension && c == '\r':
		s.state = sizeEnd
	case s.state == inExtension: // good ones are skipped
		return Control
	case s.state == sizeEnd && s.left > 0:
		return s.newline(c, inChunk)
	case s.state == sizeEnd:
		s.trailer = true
		return s.newline(c, lineStart)
	case s.state == chunkCR && c == '\r':
		s.state = chunkLF
	case s.state == chunkLF:
		return s.newline(c, inSize)
	default:
		return Chunk
	}
	return None
}

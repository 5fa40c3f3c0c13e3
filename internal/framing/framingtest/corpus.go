// Package framingtest has requests for tests: some that are read in one way only, and some that programs read in
// several ways, with what is wrong with each. The tests of every listener send them.
package framingtest

import (
	"strings"

	"github.com/counterfoil/counterfoil/internal/framing"
)

// post is a request with these lines of headers, and what follows them.
func post(rest string, lines ...string) string {
	return "POST /a HTTP/1.1\r\nHost: a\r\n" + strings.Join(append(lines, ""), "\r\n") + "\r\n" + rest
}

const chunked = "Transfer-Encoding: chunked"

// Good are requests that pass, one each.
var Good = map[string]string{
	"no body":                      "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
	"no host in HTTP/1.0":          "GET / HTTP/1.0\r\n\r\n",
	"an empty host":                "GET / HTTP/1.1\r\nHost:\r\n\r\n",
	"names in any case":            "POST * HTTP/1.1\r\nhOST: a\r\nCONTENT-length: 2\r\n\r\nhi",
	"an absolute target":           "GET http://a/b?c#d HTTP/1.1\r\nHost: a\r\n\r\n",
	"bytes above ASCII":            "GET /\xff HTTP/1.1\r\nHost: a\r\nX-A: \xe9\r\n\r\n",
	"names that are longer":        post("", "Hosts: b", "Host-: b", "Content-Length-: x", "Content-Lengt: x", "Transfer-Encoding-: x", "X-Content-Length: x"),
	"blanks around values":         post("hi", "Content-Length: \t 2 \t", "X-A:\t a\tb ", "X-B:", "X-C: "),
	"a length":                     post("hello", "Content-Length: 5"),
	"a length of 0":                post("", "Content-Length: 0"),
	"zeros before a length":        post("hello", "Content-Length: 0000000000000000000000005"),
	"chunks":                       post("5\r\nhello\r\n00A\r\n0123456789\r\n0\r\n\r\n", chunked),
	"no chunk":                     post("0\r\n\r\n", chunked),
	"blanks around a coding":       post("0\r\n\r\n", "Transfer-Encoding: \tChunKED \t"),
	"an extension":                 post("5;a=b;c=\"d e\"\r\nhello\r\n0;x\r\n\r\n", chunked),
	"trailers":                     post("5\r\nhello\r\n0\r\nX-A: b\r\nX-C:\r\n\r\n", chunked, "Trailer: X-A"),
	"line ends in the data":        post("4\r\n\r\n\n\r\r\n0\r\n\r\n", chunked),
	"a request in the body":        post("GET / HTTP/1.1\n\n", "Content-Length: 16"),
	"a request in a chunk":         post("10\r\nGET / HTTP/1.1\n\n\r\n0\r\n\r\n", chunked),
	"a WebSocket":                  "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
	"a body that GET has":          "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi",
	"CONNECT":                      "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n",
	"a method of other characters": "M-SEARCH! / HTTP/1.1\r\nHost: a\r\n\r\n",
}

// Case is a request that is refused.
type Case struct {
	Request string
	Fault   framing.Fault
}

// InBody reports whether the head of the request is good, so that a handler gets it.
func (c Case) InBody() bool {
	head, _, whole := strings.Cut(c.Request, "\r\n\r\n")
	if !whole {
		return false
	}
	var s framing.Scanner
	_, fault := s.Scan([]byte(head + "\r\n\r\n"))
	return fault == framing.None
}

// Bad are requests that are refused (GW-18).
var Bad = map[string]Case{
	"a length and a coding":          {post("0\r\n\r\n", "Content-Length: 5", chunked), framing.TwoLengths},
	"a coding and a length":          {post("0\r\n\r\n", chunked, "Content-Length: 5"), framing.TwoLengths},
	"both, of which one is wrong":    {post("hello", "Content-Length: 5", "Transfer-Encoding: identity"), framing.TwoLengths},
	"a length twice":                 {post("hello", "Content-Length: 5", "Content-Length: 5"), framing.Length},
	"two lengths":                    {post("hello", "Content-Length: 5", "content-length: 0"), framing.Length},
	"a list of one length":           {post("hello", "Content-Length: 5, 5"), framing.Length},
	"a list with nothing in it":      {post("hello", "Content-Length: 5,"), framing.Length},
	"two numbers":                    {post("hello", "Content-Length: 5 5"), framing.Length},
	"a length with a sign":           {post("hello", "Content-Length: +5"), framing.Length},
	"a negative length":              {post("hello", "Content-Length: -5"), framing.Length},
	"a hexadecimal length":           {post("hello", "Content-Length: 0x5"), framing.Length},
	"an empty length":                {post("", "Content-Length:"), framing.Length},
	"a length of blanks":             {post("", "Content-Length: \t"), framing.Length},
	"a length that overflows":        {post("", "Content-Length: 9223372036854775808"), framing.Length},
	"a length of 2^64 and 5":         {post("", "Content-Length: 18446744073709551621"), framing.Length},
	"a coding twice":                 {post("0\r\n\r\n", chunked, chunked), framing.Coding},
	"two codings":                    {post("0\r\n\r\n", "Transfer-Encoding: gzip, chunked"), framing.Coding},
	"chunked twice":                  {post("0\r\n\r\n", "Transfer-Encoding: chunked, chunked"), framing.Coding},
	"an unknown coding":              {post("0\r\n\r\n", "Transfer-Encoding: xchunked"), framing.Coding},
	"more than chunked":              {post("0\r\n\r\n", "Transfer-Encoding: chunkedx"), framing.Coding},
	"less than chunked":              {post("0\r\n\r\n", "Transfer-Encoding: chunke"), framing.Coding},
	"chunked and a word":             {post("0\r\n\r\n", "Transfer-Encoding: chunked x"), framing.Coding},
	"an empty coding":                {post("", "Transfer-Encoding:"), framing.Coding},
	"identity":                       {post("", "Transfer-Encoding: identity"), framing.Coding},
	"a quoted coding":                {post("0\r\n\r\n", `Transfer-Encoding: "chunked"`), framing.Coding},
	"a vertical tab and a coding":    {post("0\r\n\r\n", "Transfer-Encoding: \x0bchunked"), framing.Coding},
	"a coding in HTTP/1.0":           {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", framing.Coding},
	"a folded line":                  {post("", "X-A: b", " c"), framing.Folded},
	"a line folded by a tab":         {post("", "X-A: b", "\tX-B: c"), framing.Folded},
	"a folded coding":                {post("0\r\n\r\n", "Transfer-Encoding:", " chunked"), framing.Coding},
	"a folded length":                {post("hello", "X-A:", " Content-Length: 5"), framing.Folded},
	"a folded first line":            {"GET / HTTP/1.1\r\n Host: a\r\n\r\n", framing.Folded},
	"a line of blanks":               {post("", " "), framing.Folded},
	"bare LF after the first line":   {"GET / HTTP/1.1\nHost: a\r\n\r\n", framing.BareLF},
	"bare LF in a line":              {post("", "X-A: b\nX-B: c"), framing.BareLF},
	"bare LF after a name":           {post("", "X-A\n: b"), framing.BareLF},
	"bare LF after a length":         {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\n\r\nhello", framing.BareLF},
	"bare LF as the empty line":      {"GET / HTTP/1.1\r\nHost: a\r\n\n", framing.BareLF},
	"bare LF everywhere":             {"GET / HTTP/1.1\nHost: a\n\n", framing.BareLF},
	"bare LF at the beginning":       {"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", framing.BareLF},
	"an empty line at the beginning": {"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", framing.RequestLine},
	"a blank at the beginning":       {" GET / HTTP/1.1\r\nHost: a\r\n\r\n", framing.RequestLine},
	"bare CR in a line":              {post("", "X-A: b\rX-B: c"), framing.BareCR},
	"bare CR at the end of a line":   {post("", "X-A: b\r"), framing.BareCR},
	"bare CR in the empty line":      {"GET / HTTP/1.1\r\nHost: a\r\n\rX: b\r\n\r\n", framing.BareCR},
	"bare CR after the first line":   {"GET / HTTP/1.1\rHost: a\r\n\r\n", framing.BareCR},
	"a space before the colon":       {post("hello", "Content-Length : 5"), framing.Name},
	"a tab before the colon":         {post("0\r\n\r\n", "Transfer-Encoding\t: chunked"), framing.Name},
	"a space in a name":              {post("", "X A: b"), framing.Name},
	"no name":                        {post("", ": b"), framing.Name},
	"no colon":                       {post("", "X-A"), framing.Name},
	"a name with NUL":                {post("", "Content-Length\x00: 5"), framing.Name},
	"a name above ASCII":             {post("", "X-\xe9: 5"), framing.Name},
	"NUL in a value":                 {post("", "X-A: b\x00c"), framing.Control},
	"DEL in a value":                 {post("", "X-A: b\x7f"), framing.Control},
	"escape in a host":               {"GET / HTTP/1.1\r\nHost: a\x1b\r\n\r\n", framing.Control},
	"NUL in a target":                {"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n", framing.Control},
	"a tab in a target":              {"GET /\t HTTP/1.1\r\nHost: a\r\n\r\n", framing.Control},
	"no host":                        {"GET / HTTP/1.1\r\n\r\n", framing.Hosts},
	"two hosts":                      {post("", "Host: a"), framing.Hosts},
	"two hosts in HTTP/1.0":          {"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", framing.Hosts},
	"HTTP/0.9":                       {"GET /\r\n", framing.RequestLine},
	"a method alone":                 {"GET\r\n\r\n", framing.RequestLine},
	"no method":                      {"/ HTTP/1.1\r\nHost: a\r\n\r\n", framing.RequestLine},
	"two spaces before the target":   {"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", framing.RequestLine},
	"two spaces after the target":    {"GET /  HTTP/1.1\r\nHost: a\r\n\r\n", framing.Version},
	"a space in the target":          {"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", framing.Version},
	"a space after the version":      {"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", framing.Version},
	"tabs in the first line":         {"GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n", framing.RequestLine},
	"HTTP/1.2":                       {"GET / HTTP/1.2\r\nHost: a\r\n\r\n", framing.Version},
	"HTTP/1.10":                      {"GET / HTTP/1.10\r\nHost: a\r\n\r\n", framing.Version},
	"HTTP/2.0":                       {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", framing.Version},
	"http/1.1":                       {"GET / http/1.1\r\nHost: a\r\n\r\n", framing.Version},
	"a size with a sign":             {post("+5\r\nhello\r\n0\r\n\r\n", chunked), framing.Chunk},
	"a size with 0x":                 {post("0x5\r\nhello\r\n0\r\n\r\n", chunked), framing.Chunk},
	"a space before a size":          {post(" 5\r\nhello\r\n0\r\n\r\n", chunked), framing.Chunk},
	"a space after a size":           {post("5 \r\nhello\r\n0\r\n\r\n", chunked), framing.Chunk},
	"a space before an extension":    {post("5 ;x\r\nhello\r\n0\r\n\r\n", chunked), framing.Chunk},
	"no size":                        {post("\r\nhello\r\n0\r\n\r\n", chunked), framing.Chunk},
	"an extension and no size":       {post(";x\r\nhello\r\n0\r\n\r\n", chunked), framing.Chunk},
	"a size that overflows":          {post("10000000000000005\r\nhello\r\n0\r\n\r\n", chunked), framing.Chunk},
	"a size of many zeros":           {post("0000000000000005\r\nhello\r\n0\r\n\r\n", chunked), framing.Chunk},
	"bare LF after a size":           {post("5\nhello\r\n0\r\n\r\n", chunked), framing.BareLF},
	"bare LF in an extension":        {post("5;x\nhello\r\n0\r\n\r\n", chunked), framing.BareLF},
	"bare CR in an extension":        {post("5;x\ry\r\nhello\r\n0\r\n\r\n", chunked), framing.BareCR},
	"NUL in an extension":            {post("5;\x00\r\nhello\r\n0\r\n\r\n", chunked), framing.Control},
	"bare LF after the data":         {post("5\r\nhello\n0\r\n\r\n", chunked), framing.BareLF},
	"bare CR after the data":         {post("5\r\nhello\r0\r\n\r\n", chunked), framing.BareCR},
	"data that goes on":              {post("5\r\nhello, world\r\n0\r\n\r\n", chunked), framing.Chunk},
	"bare LF after the last chunk":   {post("0\n\r\n", chunked), framing.BareLF},
	"bare LF at the end of chunks":   {post("0\r\n\n", chunked), framing.BareLF},
	"bare CR at the end of chunks":   {post("0\r\n\rX", chunked), framing.BareCR},
	"bare LF in a trailer":           {post("0\r\nX-A: b\n\r\n", chunked), framing.BareLF},
	"a folded trailer":               {post("0\r\nX-A: b\r\n c\r\n\r\n", chunked), framing.Folded},
	"a trailer without a colon":      {post("0\r\nX-A\r\n\r\n", chunked), framing.Name},
	"NUL in a trailer":               {post("0\r\nX-A: \x00\r\n\r\n", chunked), framing.Control},
	"a length in a trailer":          {post("0\r\nContent-Length: 5\r\n\r\n", chunked), framing.TrailerFraming},
	"a coding in a trailer":          {post("0\r\nTransfer-Encoding: chunked\r\n\r\n", chunked), framing.TrailerFraming},
	"a host in a trailer":            {post("0\r\nHost: b\r\n\r\n", chunked), framing.TrailerFraming},
}

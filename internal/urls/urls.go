// Package urls is the one parser of the URLs that name a server: the issuer's, and the
// origins of pages, and of the names of its hosts. Call [Issuer], [Origin] or [Host].
//
// All are compared byte by byte: the issuer with iss (RFC 8414 section 3.3), an
// origin and a host with what browsers send (RFC 6454 section 6.2). So each has one spelling
// here. Every other spelling is refused, and the [Error] tells the accepted one.
//
// The package resolves no name and opens no connection.
package urls

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
)

// maxLength is the maximum length of an audience (token.CheckAudience), because an issuer is
// the default audience of its tokens.
const maxLength = 200

// Error says why a URL was refused.
type Error struct {
	Text    string // the URL, without user info and query: they may be secret
	Problem string // completes "Text ...": "ends with a slash"
	Hint    string // what to write instead
}

func (e *Error) Error() string { return fmt.Sprintf("%q %s: %s", e.Text, e.Problem, e.Hint) }

// Issuer parses the URL of an issuer: https://host[:port][/path], or the same with http
// on loopback. A caller whose settings forbid http refuses u.Scheme "http" itself.
func Issuer(text string) (*url.URL, error) { return parse(text, true) }

// Origin parses an origin as browsers send it: https://host[:port], or the same with http on
// loopback. Everybody on the network path controls a page of another plain http origin, so
// Origin refuses it. It also refuses "null", which every sandboxed frame can send (CSRF-08).
//
// A name below localhost is loopback for a browser (RFC 6761 section 6.3; Secure Contexts,
// section 3.1), and Tauri has its pages at http://tauri.localhost. For other programs it is not:
// they ask a name server. So an origin may have such a name on http, and an issuer may not.
//
// The pages of an app that are in a web view, and of a browser extension, have an origin with a
// scheme of their own, such as capacitor://localhost. No page of the web has one. Schemes whose
// pages have no origin, or somebody else's, are refused.
func Origin(text string) (*url.URL, error) { return parse(text, false) }

// Host checks one of the names by which requests may call a server: a name or an IPv4 address,
// as browsers send it, without a port.
func Host(text string) error {
	bad := &Error{Text: shown(text), Problem: "is not a host name in lower case, without a port", Hint: "want a name such as auth.internal"}
	full := text
	if !strings.Contains(text, "://") {
		full = "https://" + text
	}
	u, err := url.Parse(full)
	if err != nil || u.Hostname() == "" {
		return bad
	}
	right := url.URL{Scheme: "https"}
	if right.Host, _ = canonicalHost(u); right.Hostname() == "" || strings.HasPrefix(right.Host, "[") {
		return bad
	}
	if right.Hostname() != text {
		bad.Hint = "write " + right.Hostname()
		return bad
	}
	return nil
}

// OriginOf returns the origin of a URL that [Issuer] parsed.
func OriginOf(u *url.URL) string { return u.Scheme + "://" + u.Host }

// Address returns the host and port that a client of u connects to.
func Address(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = defaultPorts[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// At returns the URL of a server that listens on address, spelled as [Issuer] wants it.
func At(scheme, address string) string {
	return scheme + "://" + strings.TrimSuffix(address, ":"+defaultPorts[scheme])
}

// Protected reports whether nobody on the network path can read the connection to u: u is
// https, or http on loopback.
func Protected(u *url.URL) bool {
	return u.Scheme == "https" || u.Scheme == "http" && Loopback(u.Host)
}

// Loopback reports whether only this machine reaches address, which is a host with or without
// a port. A name other than localhost is not loopback, even if it resolves to loopback today.
func Loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = strings.TrimSuffix(strings.TrimPrefix(address, "["), "]")
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// noApp are schemes that the web gives a meaning of their own (WHATWG URL, section 4.7, and Fetch).
var noApp = []string{"about", "blob", "data", "file", "filesystem", "ftp", "javascript", "view-source", "ws", "wss"}

var defaultPorts = map[string]string{"https": "443", "http": "80"}

func parse(text string, mayHavePath bool) (*url.URL, error) {
	refuse := func(problem, hint string) (*url.URL, error) {
		return nil, &Error{Text: shown(text), Problem: problem, Hint: hint}
	}
	const example = "want a URL such as https://auth.example.com"
	switch {
	case len(text) > maxLength:
		return refuse("is too long", fmt.Sprintf("at most %d bytes", maxLength))
	case strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return refuse("has a space or a control character", example)
	case strings.ContainsFunc(text, func(r rune) bool { return r > 0x7f }):
		return refuse("is not ASCII", "write the host as browsers send it, such as xn--bcher-kva.example")
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme == "" || u.Host == "" || u.Hostname() == "":
		return refuse("is not a URL with a scheme and a host", example)
	case defaultPorts[u.Scheme] == "" && (mayHavePath || slices.Contains(noApp, u.Scheme)):
		return refuse("is neither https nor http", example)
	}
	host, problem := canonicalHost(u)
	if problem != "" {
		return refuse(problem, example)
	}
	right := url.URL{Scheme: u.Scheme, Host: host}
	if mayHavePath && plainPath(u) {
		right.Path = strings.TrimSuffix(path.Clean("/"+u.Path), "/")
	}
	if right.Scheme == "http" && !Protected(&right) && (mayHavePath || !strings.HasSuffix(right.Hostname(), ".localhost")) {
		return refuse("is plain http to another machine", "use https; http is for loopback only")
	}
	if right.String() != text {
		return refuse(difference(u, &right, text), "write "+right.String())
	}
	return &right, nil
}

// canonicalHost returns the host and port of u as browsers send them (WHATWG URL, section
// 3.5), or the problem that makes them unusable.
func canonicalHost(u *url.URL) (host, problem string) {
	host = strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	ip, err := netip.ParseAddr(host)
	switch {
	case err == nil && ip.Zone() != "":
		return "", "has an address with a zone"
	case err == nil && ip.Unmap().Is6():
		host = "[" + ip.String() + "]"
	case err == nil:
		host = ip.Unmap().String()
	case !isName(host):
		return "", "has a host that is neither a name nor an IP address"
	}
	port := u.Port()
	if port == "" {
		return host, ""
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return "", "has a port that is not between 1 and 65535"
	}
	if port = strconv.FormatUint(n, 10); port == defaultPorts[u.Scheme] {
		return host, ""
	}
	return host + ":" + port, ""
}

// isName reports whether host is a domain name in lower case (RFC 1123 section 2.1; browsers
// also accept the underscore). Browsers read a name whose last label is a number as an IPv4
// address, so 127.1 would be another host for them than for us.
func isName(host string) bool {
	labels := strings.Split(host, ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	last := labels[len(labels)-1]
	_, err := strconv.ParseUint(strings.TrimPrefix(last, "0x"), 16, 64)
	return strings.Trim(last, "0123456789") != "" && !(strings.HasPrefix(last, "0x") && (err == nil || last == "0x"))
}

// plainPath reports whether the path of u needs no escapes, so that every program spells it
// in the same way.
func plainPath(u *url.URL) bool {
	return !strings.ContainsFunc(u.EscapedPath(), func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/-._~", r))
	})
}

// difference names a part of u that differs from the accepted spelling.
func difference(u, right *url.URL, text string) string {
	switch {
	case u.User != nil:
		return "has a user name or a password in it"
	case strings.Contains(text, "#"):
		return "has a fragment"
	case strings.Contains(text, "?"):
		return "has a query"
	case strings.ToLower(u.Host) != u.Host || !strings.HasPrefix(text, u.Scheme):
		return "has capital letters in its scheme or host"
	case strings.HasSuffix(u.Hostname(), "."):
		return "has a dot at the end of its host"
	case u.Port() == defaultPorts[u.Scheme]:
		return "names the default port of its scheme"
	case u.Host != right.Host:
		return "has a host or a port that browsers spell otherwise"
	case right.Path+"/" == u.EscapedPath():
		return "ends with a slash"
	case right.Path == "":
		return "has a path that is not allowed here"
	}
	return "has a path that browsers spell otherwise"
}

// shown returns text without user info and query, short enough for a message.
func shown(text string) string {
	before, _, found := strings.Cut(text, "?")
	if found {
		before += "?..."
	}
	if i := strings.LastIndex(before, "@"); i >= 0 {
		before = "..." + before[i:]
	}
	if len(before) > maxLength {
		before = before[:maxLength] + "..."
	}
	return before
}

// Package mailaddress knows what a mail address is. [ASCII] is the one rule for those of users, of
// channels of a monitor, of senders and receivers of mails, and of who asks a CA.
//
// It does not know whether anybody reads mail there.
package mailaddress

import (
	"errors"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

const (
	maxLocal   = 64  // RFC 5321 section 4.5.3.1.1
	maxLabel   = 63  // RFC 1035 section 2.3.4
	maxAddress = 254 // RFC 5321 section 4.5.3.1.3, without < and >
)

// ASCII returns an address as SMTP has it, with the domain in ASCII and lower case. It takes what every
// mail server takes: no quotes, no comments, no address of a machine in brackets. What stands before the
// @ is ASCII: few servers take anything else (RFC 6531). An error is the rest of a sentence.
func ASCII(text string) (string, error) {
	local, domain, found := strings.Cut(text, "@")
	switch {
	case !found || strings.Contains(domain, "@"):
		return "", errors.New("is no e-mail address: it has one @")
	case len(local) > maxLocal || !dotted(local, atom):
		return "", errors.New("is no e-mail address that mail can be sent to: before the @ stand letters, digits and signs in ASCII")
	}
	ascii, err := idna.Lookup.ToASCII(domain)
	if err != nil || !utf8.ValidString(domain) || !dotted(ascii, label) {
		return "", errors.New("is no e-mail address: after the @ stands the name of a domain")
	}
	address := local + "@" + ascii
	if len(address) > maxAddress {
		return "", errors.New("is no e-mail address: it is too long")
	}
	return address, nil
}

// dotted reports whether text is parts with dots between them, each of which is one.
func dotted(text string, is func(string) bool) bool {
	for part := range strings.SplitSeq(text, ".") {
		if !is(part) {
			return false
		}
	}
	return true
}

const alphanumeric = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

// atom is that of RFC 5321, section 4.1.2.
func atom(part string) bool {
	return part != "" && strings.Trim(part, alphanumeric+"!#$%&'*+-/=?^_`{|}~") == ""
}

// label is one of a domain name.
func label(part string) bool {
	return part != "" && len(part) <= maxLabel && strings.Trim(part, alphanumeric+"-") == "" && part[0] != '-' && part[len(part)-1] != '-'
}

package mail

import (
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/url"
	"strings"

	"golang.org/x/net/idna"

	"github.com/counterfoil/counterfoil/internal/check"
)

const maxAddress = 254 // RFC 5321 section 4.5.3.1.3, without < and >

// CheckAddress says whether text is one address that a mail can be sent to. What stands before the @ is
// ASCII: few servers take anything else (RFC 6531).
func CheckAddress(text string) error {
	_, err := wireAddress(text)
	return err
}

// wireAddress is an address as SMTP has it: the domain in ASCII.
func wireAddress(text string) (string, error) {
	local, domain, found := strings.Cut(text, "@")
	switch {
	case !found || strings.Contains(domain, "@"):
		return "", errors.New("is no e-mail address: it has one @")
	case local == "" || !check.Printable(local) || strings.ContainsAny(local, `"(),:;<>[\]`):
		return "", errors.New("is no e-mail address that mail can be sent to: before the @ stand letters, digits and signs in ASCII")
	}
	ascii, err := idna.Lookup.ToASCII(domain)
	if err != nil || ascii == "" {
		return "", errors.New("is no e-mail address: after the @ stands the name of a domain")
	}
	wire := local + "@" + ascii
	if len(wire) > maxAddress {
		return "", errors.New("is no e-mail address: it is too long")
	}
	if a, err := mail.ParseAddress(wire); err != nil || a.Address != wire {
		return "", errors.New("is no e-mail address")
	}
	return wire, nil
}

func domainOf(address string) string { return address[strings.LastIndexByte(address, '@')+1:] }

// CheckSender says whether text may be Options.From or Options.ReplyTo.
func CheckSender(text string) error {
	_, err := parseSender(text)
	return err
}

// parseSender reads an address with or without a name.
func parseSender(text string) (*mail.Address, error) {
	if strings.ContainsFunc(text, func(r rune) bool { return check.Harm(r) != "" }) {
		return nil, errors.New("has characters that cannot be shown")
	}
	a, err := mail.ParseAddress(text)
	if err != nil {
		return nil, fmt.Errorf("is %q: want an address, or a name and <address>", text)
	}
	if a.Address, err = wireAddress(a.Address); err != nil {
		return nil, err
	}
	return a, nil
}

// place is what Options.URL names.
type place struct {
	host     string // empty: the log
	port     string
	user     string
	implicit bool // TLS from the first byte
}

// IsLog says whether text, as Options.URL, has mails written to the log. In a YAML file the colon of
// "log:" would have to be quoted, so the word alone means the same.
func IsLog(text string) bool { return text == "log" || text == "log:" }

// CheckURL says whether text may be Options.URL.
func CheckURL(text string) error {
	_, err := parseURL(text)
	return err
}

func parseURL(text string) (p place, err error) {
	if IsLog(text) {
		return p, nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.Scheme != "smtp" && u.Scheme != "smtps" {
		return p, errors.New("is neither smtp://user@host:587 nor smtps://user@host:465, nor the word log")
	}
	if _, has := u.User.Password(); has {
		return p, errors.New("has a password in it: set mail_password, or mail_password_file")
	}
	if u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
		return p, errors.New("has something after the host and the port")
	}
	p = place{host: u.Hostname(), port: u.Port(), user: u.User.Username(), implicit: u.Scheme == "smtps"}
	switch {
	case p.port == "" && p.implicit:
		p.port = "465"
	case p.port == "":
		p.port = "587"
	}
	if n, err := net.LookupPort("tcp", p.port); err != nil || n == 0 {
		return p, fmt.Errorf("has the port %q", p.port)
	}
	return p, nil
}

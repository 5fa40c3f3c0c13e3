package mail

import (
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/url"
	"strings"

	"github.com/counterfoil/counterfoil/internal/check"
	"github.com/counterfoil/counterfoil/internal/mailaddress"
)

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
	if a.Address, err = mailaddress.ASCII(a.Address); err != nil {
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

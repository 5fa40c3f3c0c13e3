package server

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Brand is whose the pages are, as a visitor sees it. The zero Brand is Counterfoil's own.
type Brand struct {
	Name   string      // of the product; empty: Counterfoil
	Logo   []byte      // an SVG or a PNG of at most 64 KiB, shown at 32 pixels beside the name; nil: the first letter of the name
	Accent string      // of buttons and links, as #rrggbb; empty: green; see [CheckAccent]
	Links  []BrandLink // in the footer of each page
}

// BrandLink is a link in the footer, as to a privacy statement.
type BrandLink struct{ Text, URL string }

const (
	maxLogo      = 64 << 10
	maxBrandName = 60 // characters
	maxLinks     = 8
)

// check returns what is wrong with b, in words for who configures it.
func (b Brand) check() error {
	if err := CheckBrandName(b.Name); err != nil {
		return fmt.Errorf("name: %w", err)
	}
	if len(b.Logo) > 0 {
		if _, err := logoType(b.Logo); err != nil {
			return fmt.Errorf("logo: %w", err)
		}
	}
	if b.Accent != "" {
		if err := CheckAccent(b.Accent); err != nil {
			return fmt.Errorf("accent: %w", err)
		}
	}
	if len(b.Links) > maxLinks {
		return fmt.Errorf("links: there are %d, and at most %d are shown", len(b.Links), maxLinks)
	}
	for _, l := range b.Links {
		if err := l.check(); err != nil {
			return fmt.Errorf("links: %w", err)
		}
	}
	return nil
}

// CheckBrandName says whether text may be Brand.Name.
func CheckBrandName(text string) error {
	switch {
	case !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl):
		return errors.New("the name has characters that cannot be shown")
	case utf8.RuneCountInString(text) > maxBrandName:
		return fmt.Errorf("the name is longer than %d characters", maxBrandName)
	}
	return nil
}

// ParseBrandLink reads a link as it is configured: its text, a space, and its URL.
func ParseBrandLink(text string) (BrandLink, error) {
	text = strings.TrimSpace(text)
	at := strings.LastIndexByte(text, ' ')
	if at < 0 {
		return BrandLink{}, errors.New("a link is its text, a space, and its URL: Privacy https://example.com/privacy")
	}
	l := BrandLink{Text: strings.TrimSpace(text[:at]), URL: text[at+1:]}
	return l, l.check()
}

func (l BrandLink) check() error {
	if err := CheckBrandName(l.Text); err != nil || l.Text == "" {
		return errors.New("the text of a link has 1 to 60 characters that can be shown")
	}
	u, err := url.Parse(l.URL)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http" || u.Host == "") && (u.Scheme != "mailto" || u.Opaque == "") {
		return errors.New("a link leads to an https, http or mailto URL")
	}
	return nil
}

// CheckLogo says whether data may be Brand.Logo.
func CheckLogo(data []byte) error {
	_, err := logoType(data)
	return err
}

// logoType returns the media type of a logo. A browser shows it as an image alone, so nothing in an
// SVG runs; pageLogo says so again for who opens it by its address.
func logoType(data []byte) (string, error) {
	switch {
	case len(data) > maxLogo:
		return "", fmt.Errorf("the logo has %d bytes, and at most %d are served", len(data), maxLogo)
	case http.DetectContentType(data) == "image/png":
		return "image/png", nil
	}
	d := xml.NewDecoder(bytes.NewReader(data))
	for root := false; ; {
		switch t, err := d.Token(); {
		case err == io.EOF && root:
			return "image/svg+xml", nil
		case err != nil:
			return "", errors.New("the logo is neither a PNG nor a well-formed SVG")
		default:
			if first, is := t.(xml.StartElement); is && !root {
				if first.Name.Local != "svg" || first.Name.Space != "http://www.w3.org/2000/svg" {
					return "", errors.New(`the logo is neither a PNG nor an SVG: its root is not <svg xmlns="http://www.w3.org/2000/svg">`)
				}
				root = true
			}
		}
	}
}

// brand is a Brand as the templates show it.
type brand struct {
	Name    string
	Initial string // stands for the logo if there is none
	Logo    string // address of the logo; empty: there is none
	Links   []BrandLink

	logo  []byte
	media string // type of logo
	style []byte // the style sheet with the accent in it
	Style string // address of the style sheet
}

const styleFile = "static/style.css"

// newBrand completes what is configured. An address names the content by its hash, so a browser
// never shows the logo or the style sheet from before a restart.
func newBrand(b Brand, base string) (*brand, error) {
	if err := b.check(); err != nil {
		return nil, err
	}
	v := &brand{Name: cmp.Or(b.Name, "Counterfoil"), Links: b.Links, logo: b.Logo}
	first, _ := utf8.DecodeRuneInString(v.Name)
	v.Initial = string(unicode.ToUpper(first))
	if len(b.Logo) > 0 {
		v.media, _ = logoType(b.Logo)
		v.Logo = base + "/brand/logo?v=" + shortHash(b.Logo)
	}
	style, err := files.ReadFile(styleFile)
	if err != nil {
		return nil, err
	}
	v.style = append(style, accentStyle(b.Accent)...)
	v.Style = base + "/" + styleFile + "?v=" + shortHash(v.style)
	return v, nil
}

func shortHash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:6])
}

// pageStyle sends the style sheet.
func (s *Server) pageStyle(w http.ResponseWriter, _ *http.Request) error {
	public(w)
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	_, _ = w.Write(s.brand.style)
	return nil
}

// pageLogo sends the logo. Opened by its address an SVG is a document: it gets no origin of ours,
// and no script.
func (s *Server) pageLogo(w http.ResponseWriter, _ *http.Request) error {
	if s.brand.Logo == "" {
		return errNotFound
	}
	public(w)
	w.Header().Set("Content-Security-Policy", logoPolicy)
	w.Header().Set("Content-Type", s.brand.media)
	_, _ = w.Write(s.brand.logo)
	return nil
}

// logoPolicy lets an SVG have styles of its own, and nothing else.
const logoPolicy = "default-src 'none'; style-src 'unsafe-inline'; sandbox; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"

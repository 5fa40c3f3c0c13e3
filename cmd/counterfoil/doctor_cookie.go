package main

import (
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"strings"

	"golang.org/x/net/publicsuffix"

	"github.com/counterfoil/counterfoil/internal/urls"
)

type doctorCookie struct {
	App      string `required:"" placeholder:"URL" help:"URL of the page."`
	Auth     string `required:"" placeholder:"URL" help:"URL of the server that set the cookie: the issuer, or a service of its host."`
	SameSite string `name:"same-site" default:"lax" enum:"lax,strict,none" placeholder:"WORD" help:"SameSite of the cookie: lax, strict or none."`
	Size     int    `placeholder:"BYTES" help:"Length of name and value together. Empty: it is not checked."`
	JSON     bool   `help:"Print JSON."`
}

// sending says whether a browser adds the cookie to one kind of request.
type sending struct {
	Request string `json:"request"`
	Sent    bool   `json:"sent"`
	Why     string `json:"why"`
}

// cookieVerdict is what the command prints.
type cookieVerdict struct {
	SameSite bool      `json:"same_site"` // of the two URLs: one scheme, one registrable domain
	SameHost bool      `json:"same_host"`
	Requests []sending `json:"requests"`
	Hints    []string  `json:"hints,omitempty"`
}

// maxCookie is the longest name and value that browsers keep (RFC 6265bis section 5.6).
const maxCookie = 4096

// Run says whether a browser adds the session cookie of the server Auth to requests that a page
// of App makes to Auth. The command fails if the browser does not add it to fetch.
func (c *doctorCookie) Run() error {
	app, err := webURL(c.App)
	if err != nil {
		return err
	}
	auth, err := webURL(c.Auth)
	if err != nil {
		return err
	}
	v := judgeCookie(app, auth, c.SameSite, c.Size)
	if c.JSON {
		err = writeJSON(os.Stdout, v)
	} else {
		v.print()
	}
	if err == nil && !v.Requests[0].Sent {
		err = fmt.Errorf("a page of %s does not send the cookie of %s with fetch", app.Host, auth.Host)
	}
	return err
}

func webURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, misuse("%s: want an http or https URL", text)
	}
	return u, nil
}

// site is what browsers compare for SameSite: the scheme and the registrable domain
// (RFC 6265bis section 5.2). A host without a registrable domain, such as an address, is a site
// of its own.
func site(u *url.URL) string {
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	if _, err := netip.ParseAddr(host); err != nil {
		if domain, err := publicsuffix.EffectiveTLDPlusOne(host); err == nil {
			host = domain
		}
	}
	return u.Scheme + "://" + host
}

func judgeCookie(app, auth *url.URL, sameSite string, size int) (v cookieVerdict) {
	v.SameSite = site(app) == site(auth)
	v.SameHost = strings.EqualFold(app.Hostname(), auth.Hostname())
	none := ""
	switch {
	case auth.Scheme == "http" && !urls.Loopback(auth.Host):
		none = "it is Secure, and " + auth.Host + " is plain http: browsers drop it"
	case auth.Scheme == "http" && sameSite == "none":
		none = "SameSite=None needs Secure"
	case size > maxCookie:
		none = fmt.Sprintf("it has %d bytes: browsers drop what is longer than %d", size, maxCookie)
	}
	v.add("fetch, XHR, image, frame", none, v.SameSite || sameSite == "none", crossText(v.SameSite, sameSite))
	v.add("link, redirect (GET)", none, v.SameSite || sameSite != "strict", map[bool]string{true: "same site", false: "SameSite=" + sameSite + " on a navigation from another site"}[v.SameSite])
	v.add("form (POST)", none, v.SameSite || sameSite == "none", crossText(v.SameSite, sameSite))
	v.hints(app, auth, sameSite, size)
	return v
}

func crossText(same bool, sameSite string) string {
	switch {
	case same:
		return "same site"
	case sameSite == "none":
		return "another site: only where the browser allows third-party cookies"
	}
	return "another site, and SameSite=" + sameSite
}

func (v *cookieVerdict) add(request, none string, sent bool, why string) {
	if none != "" {
		sent, why = false, none
	}
	v.Requests = append(v.Requests, sending{request, sent, why})
}

func (v *cookieVerdict) hints(app, auth *url.URL, sameSite string, size int) {
	hint := func(format string, args ...any) { v.Hints = append(v.Hints, fmt.Sprintf(format, args...)) }
	fetched := v.Requests[0].Sent
	suffix, _ := publicsuffix.PublicSuffix(app.Hostname())
	switch {
	case fetched && v.SameSite && app.Scheme+app.Host != auth.Scheme+auth.Host:
		hint("the page has another origin: fetch needs credentials: \"include\", and the client needs the origin in its origins (CORS)")
	case !v.SameSite && app.Scheme != auth.Scheme && site(&url.URL{Scheme: auth.Scheme, Host: app.Host}) == site(auth):
		hint("the schemes differ, so they are two sites: serve both by https")
	case !v.SameSite && strings.HasSuffix(auth.Hostname(), "."+suffix) && strings.Count(suffix, ".") > 0:
		hint("%s is a public suffix: each name below it is a site of its own", suffix)
	}
	switch {
	case fetched && sameSite == "none" && !v.SameSite:
		hint("Safari and Firefox refuse such a cookie or keep it apart; with Partitioned (CHIPS) each top-level site has a jar of its own, so a user who signed in at %s is not signed in inside a frame of another site", auth.Host)
	case !fetched && !v.SameSite:
		hint("give both one registrable domain (app.example.com, auth.example.com), or let the app's own server hold the session, or use the carrier bearer")
	}
	if !v.SameHost {
		hint("a __Host- cookie of %s is never sent to %s itself: services there need the carrier bearer, or a path of the same host", auth.Hostname(), app.Hostname())
	}
	if size > maxCookie*3/4 && size <= maxCookie {
		hint("%d of %d bytes: with a few more roles browsers drop it; the carrier cookie needs 43 bytes", size, maxCookie)
	}
	if auth.Scheme == "http" && urls.Loopback(auth.Host) {
		hint("plain http works on this machine only, for development")
	}
}

func (v cookieVerdict) print() {
	for _, r := range v.Requests {
		word := "not sent"
		if r.Sent {
			word = "sent"
		}
		for n, line := range wrap(printable(r.Why), width-36) {
			if n > 0 {
				word, r.Request = "", ""
			}
			fmt.Printf("%-8s  %-24s  %s\n", word, r.Request, line)
		}
	}
	for _, h := range v.Hints {
		for n, line := range wrap(printable(h), width-6) {
			fmt.Printf("%-6s%s\n", map[bool]string{true: "note:", false: ""}[n == 0], line)
		}
	}
}

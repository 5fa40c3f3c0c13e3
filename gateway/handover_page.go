package gateway

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"net/http"
	"net/url"

	"github.com/counterfoil/counterfoil/internal/refusal"
	"github.com/counterfoil/counterfoil/internal/request"
)

// handoverStyle is that of the pages of the auth server, as far as these pages need it.
const handoverStyle = `
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fbfaf7; --accent: #0b5c4a; }
@media (prefers-color-scheme: dark) { :root { --ink: #e9e6df; --paper: #16191c; --accent: #6fd3b5; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
main { max-width: 40rem; margin: 0 auto; padding: 1.5rem 1rem; }
h1 { font-size: 1.5rem; line-height: 1.25; }
a { color: var(--accent); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
`

// handoverPolicy lets a page have this style, and nothing else. The host is that of a service, so
// there is no address of ours to load a style sheet from.
var handoverPolicy = func() string {
	sum := sha256.Sum256([]byte(handoverStyle))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}()

// handoverPage is what a person sees below [HandoverPrefix]. It loads nothing.
var handoverPage = template.Must(template.New("").Parse(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
{{with .Lead}}<meta http-equiv="refresh" content="0; url={{.}}">
{{end}}<title>{{.Title}}</title>
<style>` + handoverStyle + `</style>
</head>
<body>
<main>
<h1>{{.Title}}</h1>
{{with .Text}}<p>{{.}}</p>
{{end}}{{with .Link}}<p><a href="{{.}}">{{$.LinkText}}</a></p>
{{end}}</main>
</body>
</html>
`))

type handoverText struct{ Title, Text, Link, LinkText, Lead string }

// show answers with a page whose link begins anew, to come back to the path to. It returns nil: the
// answer is given.
func (v *visit) show(status int, said, title, text, to, linkText string) *refusal.Problem {
	v.said = said
	link := beginPath + "?" + url.Values{"to": {to}, "again": {"1"}}.Encode()
	return v.write(status, handoverText{Title: title, Text: text, Link: link, LinkText: linkText})
}

// lead answers with a page that goes on to the path to.
func (v *visit) lead(to string) *refusal.Problem {
	return v.write(http.StatusOK, handoverText{Title: "You are signed in", Link: to, LinkText: "Go on", Lead: to})
}

func (v *visit) write(status int, page handoverText) *refusal.Problem {
	var b bytes.Buffer
	if err := handoverPage.Execute(&b, page); err != nil {
		return &refusal.Problem{Status: http.StatusInternalServerError, Type: "internal", Title: "Internal error", Cause: err}
	}
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	v.w.WriteHeader(status)
	_, _ = v.w.Write(b.Bytes())
	return nil
}

// refuse answers with p: a page for people.
func (v *visit) refuse(p *refusal.Problem) {
	if !request.Accepts(v.r, "text/html", "") {
		p.ServeHTTP(v.w, v.r)
		return
	}
	p.SetHeader(v.w.Header())
	page := handoverText{Title: p.Title, Text: p.Detail}
	if v.origin != "" { // of a route: there is a site
		page.Link, page.LinkText = "/", "To the start of this site"
	}
	_ = v.write(p.Status, page)
}

package gateway

import (
	"bytes"
	"html/template"
	"net/http"
	"net/url"

	"github.com/counterfoil/counterfoil/internal/refusal"
	"github.com/counterfoil/counterfoil/internal/request"
)

// handoverPage is what a person sees below [HandoverPrefix]. It loads nothing.
var handoverPage = template.Must(template.New("").Parse(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
{{with .Lead}}<meta http-equiv="refresh" content="0; url={{.}}">
{{end}}<title>{{.Title}}</title>
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

// show answers with a page whose link begins anew, to come back to the path to; empty: there is
// no link. It returns nil: the answer is given.
func (v *visit) show(status int, said, title, text, to, linkText string) *refusal.Problem {
	v.said = said
	link := ""
	if to != "" {
		link = beginPath + "?" + url.Values{"to": {to}, "again": {"1"}}.Encode()
	}
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
	_ = v.write(p.Status, handoverText{Title: p.Title, Text: p.Detail})
}

package server

import (
	"cmp"
	"net/http"
	"net/url"

	"github.com/counterfoil/counterfoil/internal/api"
)

// lettersPage is what waits in the outbox, or what was given up.
type lettersPage struct {
	consoleFrame
	Waits   bool // it shows what waits
	Letters []api.Letter
	Outbox  api.Outbox
	Next    string
	names   api.Named
}

func (v *visit) letters() error {
	query := v.listing(50, "state")
	list := get(at("outbox"), query)
	var all api.Outbox
	if err := v.send(list, &all); err != nil {
		return err
	}
	f, err := v.page([]string{"outbox"}, "Outbox", list)
	if err != nil {
		return err
	}
	page := lettersPage{f, query.Get("state") == "waiting", all.Letters, all, v.nextPage(query, all.Next), all.Named}
	return v.render(http.StatusOK, "console_outbox.html", &page)
}

func redeliverLetter(v *visit, _ url.Values) (*formPage, error) {
	f, err := v.ofLetter("Send again", "Send again")
	if err != nil {
		return nil, err
	}
	f.Says = append(f.Says, "It is tried as if it were new: at once, and for 24 hours if that fails. If the receiver had it in spite of the failure, it comes twice.")
	f.call, f.deed = call{Method: http.MethodPost, Path: at("outbox", v.r.PathValue("id"), "redeliver")}, letterAgain
	return f, nil
}

func dropLetter(v *visit, _ url.Values) (*formPage, error) {
	f, err := v.ofLetter("Drop", "Drop")
	if err != nil {
		return nil, err
	}
	f.Says = append(f.Says, "It is deleted, and nobody receives it.")
	f.Danger = true
	f.call, f.deed = call{Method: http.MethodDelete, Path: at("outbox", v.r.PathValue("id"))}, letterDropped
	return f, nil
}

// ofLetter begins a form for the dead letter that the path names, and says which it is.
func (v *visit) ofLetter(title, button string) (*formPage, error) {
	var one api.OneLetter
	if err := v.send(get(at("outbox", v.r.PathValue("id")), nil), &one); err != nil {
		return nil, err
	}
	l := one.Letter
	f := v.formAt([]string{"outbox"}, title+": "+letterName(l), inConsole("outbox"), button)
	which := "Made at " + l.Created.UTC().Format("2006-01-02 15:04 UTC")
	if l.Subject != "" {
		which += " for " + cmp.Or(v.person(one.Named, l.Subject).Name, l.Subject)
	}
	f.Says = []string{which + "."}
	return f, nil
}

// Whose account the letter is about; nil: none.
func (p *lettersPage) Whose(l api.Letter) *personLine {
	if l.Subject == "" {
		return nil
	}
	return personOf(p.base, p.names, l.Subject)
}

// Named is what a letter is called in the console.
func (p *lettersPage) Named(l api.Letter) string { return letterName(l) }

// letterName is what a letter is about, or else what it is.
func letterName(l api.Letter) string { return cmp.Or(l.About, l.Kind) }

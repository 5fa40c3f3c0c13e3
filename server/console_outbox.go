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
	return v.render(http.StatusOK, "console_outbox.html", &lettersPage{f, query.Get("state") == "waiting", all.Letters, all, v.nextPage(query, all.Next)})
}

func redeliverLetter(v *visit, _ url.Values) (*formPage, error) {
	f := v.formAt([]string{"outbox"}, "Send again", inConsole("outbox"), "Send again")
	f.Says = []string{"It is tried as if it were new: at once, and for 24 hours if that fails. If the receiver had it in spite of the failure, it comes twice."}
	f.call, f.deed = call{Method: http.MethodPost, Path: at("outbox", v.r.PathValue("id"), "redeliver")}, letterAgain
	return f, nil
}

func dropLetter(v *visit, _ url.Values) (*formPage, error) {
	f := v.formAt([]string{"outbox"}, "Drop", inConsole("outbox"), "Drop")
	f.Says = []string{"It is deleted, and nobody receives it."}
	f.Danger = true
	f.call, f.deed = call{Method: http.MethodDelete, Path: at("outbox", v.r.PathValue("id"))}, letterDropped
	return f, nil
}

// Named is what a letter is called in the console.
func (p *lettersPage) Named(l api.Letter) string { return cmp.Or(l.About, l.Kind) }

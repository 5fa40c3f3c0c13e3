package server

import (
	"cmp"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"github.com/counterfoil/counterfoil/accounts"
	"github.com/counterfoil/counterfoil/internal/api"
)

// consoleForm is a page that changes something by one call of the API.
type consoleForm struct {
	// make reads what the form shows. values are what the visitor has typed; nil: nothing yet.
	make func(v *visit, values url.Values) (*formPage, error)

	// done shows the answer, if it has something that is shown once. nil: the page that the form
	// came from says what was done.
	done func(v *visit, f *formPage, answer []byte) error
}

// formPage is a form of the console.
type formPage struct {
	consoleFrame
	Says    []string    // what will happen
	Samples sessionList // to which sessions
	Fields  []formField
	Name    string // is typed to confirm; empty: a click is enough
	Button  string
	Danger  bool
	Action  string // its own address
	Back    string // the page that the form came from
	Checked bool   // the visitor has proven who they are, and looks again

	call   call
	before []call     // that were made for the form
	more   []call     // that are made after it
	kept   url.Values // what the form carries along
	next   string     // the page that it leads to; empty: Back
	deed   deed       // what is said there
}

// formField is a field of a form of the console. Its Kind is "text", "lines", "check", "choice" or "time".
type formField struct {
	Kind, ID, Label, Hint, Value string
	Options                      []string
	Required                     bool
}

// On reports whether a checkbox is checked.
func (f formField) On() bool { return f.Value == "on" }

// Kept is what the form carries along, by name.
func (f formPage) Kept() map[string]string {
	all := map[string]string{}
	for name := range f.kept {
		all[name] = f.kept.Get(name)
	}
	return all
}

// Hinted reports whether there is a text below the field.
func (f formField) Hinted() bool { return f.Hint != "" }

// Invalid reports whether the problem is about the field id.
func (f formPage) Invalid(id string) bool { return f.Focus == id && len(f.Problem) > 0 }

// Attributes are those of a field with a problem or a hint, which are read aloud with it.
func (f formPage) Attributes(id string, hint bool) template.HTMLAttr {
	in := field{ID: id}
	if f.Invalid(id) {
		in.Problem = f.Problem
	}
	if hint {
		in.Hint = "hint"
	}
	return in.Attributes()
}

// BackAt is the address of the page that the form came from.
func (f formPage) BackAt() string { return f.base + f.Back }

// asked reports the value of a field: what was typed, or else what is stored.
func asked(values url.Values, name, stored string) string {
	if values == nil {
		return stored
	}
	return strings.TrimSpace(values.Get(name))
}

// checked is asked for a checkbox, which a form does not send if it is not checked.
func checked(values url.Values, name string, stored bool) string {
	if values == nil && stored || values.Get(name) == "on" {
		return "on"
	}
	return ""
}

// entries returns the entries of a field in which several are typed, with blanks, commas or line ends
// between them.
func entries(text string) []string {
	return strings.FieldsFunc(text, func(c rune) bool { return c == ',' || unicode.IsSpace(c) })
}

// misfit is what is wrong with a field that the console must read to make the call.
type misfit struct{ field, text string }

func (m misfit) Error() string { return m.text }

// show shows the form empty, or with what was typed before the visitor proved who they are.
func (v *visit) show(f consoleForm, values url.Values) error {
	page, err := f.make(v, values)
	if page == nil {
		return err
	}
	if need := v.s.right(page.call); !v.may(need) {
		return &api.Error{Status: http.StatusForbidden, Title: "Not allowed", Detail: "it needs the role " + strings.Join(accounts.RolesWith(need), " or ")}
	}
	page.Checked = values != nil
	return v.showForm(http.StatusOK, page)
}

// submit sends the call of the form. Whatever goes wrong, the form is shown again as it was filled in.
func (v *visit) submit(f consoleForm) error {
	if err := v.s.form(v.w, v.r); err != nil {
		return err
	}
	values, to := v.r.PostForm, v.s.back(v.r, v.here())
	if to.Kept = values.Get("kept"); to.Kept != "" {
		typed, _ := v.s.kept(to, v.session.Subject)
		return v.show(f, typed)
	}
	page, err := f.make(v, values)
	if page == nil {
		return err
	}
	if m, wrong := err.(misfit); wrong {
		page.Problem, page.Focus = plain(m.text), m.field
		return v.showForm(http.StatusUnprocessableEntity, page)
	}
	if page.Name != "" && strings.TrimSpace(values.Get("confirm")) != page.Name {
		page.Problem, page.Focus = plain("Nothing was done. To confirm, type exactly: "+page.Name), "confirm"
		return v.showForm(http.StatusUnprocessableEntity, page)
	}
	var answer rawAnswer
	err = v.send(page.call, &answer)
	made := 0 // calls
	for ; err == nil && made < len(page.more); made++ {
		err = v.send(page.more[made], nil)
	}
	p := problem(err)
	switch {
	case err == nil && f.done != nil:
		return f.done(v, page, answer)
	case err == nil:
		return v.s.finish(v.w, cmp.Or(page.next, page.Back), page.deed, 0)
	case p == nil, p.Status == http.StatusUnauthorized && !is(p, "step-up"):
		return err
	case is(p, "step-up"):
		if to, kept := v.s.keep(to, v.session.Subject, values); kept {
			return v.proveFor(to, p.Status)
		}
		page.Problem = plain("Nothing was done: you signed in too long ago. Enter your password again on the account page, in another tab, then press the button once more.")
		return v.showForm(p.Status, page)
	}
	page.Problem, page.Focus = plain("Nothing was done. "+explained(p)), fieldNamed(p, page.Fields)
	if made > 0 {
		page.Problem = plain(fmt.Sprintf("The first %d were done, and the others were not. %s", made, explained(p)))
	}
	return v.showForm(p.Status, page)
}

// proveFor asks for the password of the visitor, and leads to the form to, with what was typed into it. Who
// has no password here signs in.
func (v *visit) proveFor(to destination, status int) error {
	var u api.User
	if err := v.send(get(at("users", v.session.Subject), nil), &u); err != nil && !is(problem(err), "not-found") {
		return err
	}
	if !u.HasPassword {
		return v.s.askToSignIn(v.w, v.r, status, to, nil)
	}
	return v.render(status, "prove.html", &provePage{frame{Title: say("prove.title"), To: to}, u.Identifier})
}

func (v *visit) showForm(status int, page *formPage) error {
	page.Action = v.s.base + v.r.URL.EscapedPath()
	if err := page.show(v.s, slices.Concat(page.before, []call{page.call}, page.more)...); err != nil {
		return err
	}
	return v.render(status, "console_form.html", page)
}

// rawAnswer is the JSON of an answer, or nothing.
type rawAnswer []byte

// UnmarshalJSON implements json.Unmarshaler.
func (a *rawAnswer) UnmarshalJSON(data []byte) error {
	*a = append([]byte(nil), data...)
	return nil
}

// fieldNamed finds the field that a problem is about: the one that it names, or else the first that its words have.
// Empty: it is about none.
func fieldNamed(p *api.Error, fields []formField) string {
	if slices.ContainsFunc(fields, func(f formField) bool { return f.ID == p.Field }) {
		return p.Field
	}
	words := strings.FieldsFunc(strings.ToLower(p.Title+" "+p.Detail), func(c rune) bool { return c != '_' && !unicode.IsLetter(c) })
	text := " " + strings.Join(words, " ") + " "
	for _, f := range fields {
		if strings.Contains(text, " "+f.ID+" ") || strings.Contains(text, " "+strings.ReplaceAll(f.ID, "_", " ")+" ") {
			return f.ID
		}
	}
	return ""
}

package mail

import (
	"bytes"
	"embed"
	"fmt"
	htmltemplate "html/template"
	"regexp"
	"strconv"
	"text/template"
	"time"

	"github.com/counterfoil/counterfoil/internal/catalog"
)

//go:embed texts/*.txt layout.html layout.txt
var files embed.FS

// languages has the texts of each language. The first one is for who wants none of them.
var languages = []string{"en", "de"}

// tongue is the texts of a language.
type tongue struct {
	code  string
	texts map[string]string
}

func readTongue(code string) (*tongue, error) {
	texts, err := catalog.Read(files, "texts/"+code+".txt")
	if err != nil {
		return nil, err
	}
	return &tongue{code, texts}, nil
}

// layouts are how each mail looks, with HTML and without.
type layouts struct {
	html *htmltemplate.Template
	text *template.Template
}

func readLayouts() (l layouts, err error) {
	if l.html, err = htmltemplate.ParseFS(files, "layout.html"); err != nil {
		return l, err
	}
	l.text, err = template.ParseFS(files, "layout.txt")
	return l, err
}

// Arg stands in a place {0}, {1} and so on of a text.
type Arg struct {
	Text string    `json:"text,omitempty"`
	Time time.Time `json:"time,omitzero"`
}

// Text is an argument that came from somewhere else, as it is.
func Text(text string) Arg { return Arg{Text: text} }

// Time is a moment as an argument, which each language writes in its own way.
func Time(t time.Time) Arg { return Arg{Time: t.UTC()} }

var places = regexp.MustCompile(`\{[a-z0-9]+\}`)

// say is the text of a key, with what stands in its places.
func (l *tongue) say(key string, named map[string]string, args []Arg) (string, error) {
	text, ok := l.texts[key]
	if !ok {
		return "", fmt.Errorf("no text %q in %s", key, l.code)
	}
	var wrong error
	out := places.ReplaceAllStringFunc(text, func(place string) string {
		name := place[1 : len(place)-1]
		if value, ok := named[name]; ok {
			return value
		}
		n, err := strconv.Atoi(name)
		if err != nil || n >= len(args) {
			wrong = fmt.Errorf("text %q has no %s", key, place)
			return ""
		}
		if !args[n].Time.IsZero() {
			return catalog.Moment(l.texts, args[n].Time)
		}
		return args[n].Text
	})
	return out, wrong
}

// letter is a message in words, for the layouts.
type letter struct {
	Language   string
	Subject    string
	Paragraphs []string
	CodeLabel  string
	Code       string
	Expires    string
	Button     string
	Link       string
	LinkLabel  string
	After      string
	Footer     string
	Brand      Brand
}

// write writes l without HTML, and with it.
func (ls layouts) write(l *letter) (text, html string, err error) {
	var t, h bytes.Buffer
	if err := ls.text.Execute(&t, l); err != nil {
		return "", "", err
	}
	if err := ls.html.Execute(&h, l); err != nil {
		return "", "", err
	}
	return t.String(), h.String(), nil
}

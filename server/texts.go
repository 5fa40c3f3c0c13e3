package server

import (
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/language"

	"github.com/counterfoil/counterfoil/internal/catalog"
)

//go:embed texts/*.txt
var textFiles embed.FS

// languages are those of the pages. Each has a file in texts, with all texts of the pages. The first
// one is for who wants none of them.
var languages = []language.Tag{language.English, language.German}

var matcher = language.NewMatcher(languages)

// said is a text of a page: the key by which the files have it, and what stands in its places {0},
// {1} and so on: a said, a time, a number, or a string that came from somewhere else. nil says nothing.
type said []any

func say(key string, args ...any) said { return append(said{key}, args...) }

// plain is a text that no file has: it is the same in each language.
func plain(text string) said { return said{"", text} }

// sayCount says that there are n of something: the file has a text for one, and one for others.
func sayCount(key string, n int, args ...any) said {
	end := ".other"
	if n == 1 {
		end = ".one"
	}
	return append(said{key + end, n}, args...)
}

// tongue is a language with its texts, and with the templates that say them.
type tongue struct {
	Code  string // for the attribute lang
	Name  string // in the language itself
	texts map[string]string
	pages *template.Template
}

func readTongue(tag language.Tag) (*tongue, error) {
	code := tag.String()
	texts, err := catalog.Read(textFiles, "texts/"+code+".txt")
	if err != nil {
		return nil, err
	}
	return &tongue{Code: code, Name: texts["language.name"], texts: texts}, nil
}

var places = regexp.MustCompile(`\{\d\}`)

// html is what s says. A string in it stands apart from the direction in which the text around it is
// written (bdi). In an attribute the template takes the tags out.
func (l *tongue) html(s said) (template.HTML, error) {
	if len(s) == 0 {
		return "", nil
	}
	key, _ := s[0].(string)
	if key == "" {
		return template.HTML(template.HTMLEscapeString(fmt.Sprint(s[1:]...))), nil
	}
	text, ok := l.texts[key]
	if !ok {
		return "", fmt.Errorf("no text %q in %s", key, l.Code)
	}
	var wrong error
	out := places.ReplaceAllStringFunc(template.HTMLEscapeString(text), func(place string) string {
		n := int(place[1]-'0') + 1
		if n >= len(s) {
			wrong = fmt.Errorf("text %q has no %s", key, place)
			return ""
		}
		switch arg := s[n].(type) {
		case said:
			inner, err := l.html(arg)
			if err != nil {
				wrong = err
			}
			return string(inner)
		case time.Time:
			return string(l.when(arg))
		case int:
			return strconv.Itoa(arg)
		default:
			return "<bdi>" + template.HTMLEscapeString(fmt.Sprint(arg)) + "</bdi>"
		}
	})
	return template.HTML(out), wrong // of our texts, and of what was escaped
}

// when is a time in UTC. The script of the pages puts that of the reader's zone before it.
func (l *tongue) when(t time.Time) template.HTML {
	return template.HTML(`<time datetime="` + t.UTC().Format(time.RFC3339) + `">` + template.HTMLEscapeString(catalog.Moment(l.texts, t)) + `</time>`)
}

// funcs are what the templates call.
func (l *tongue) funcs() template.FuncMap {
	return template.FuncMap{
		"lang": func() *tongue { return l },
		"when": l.when,
		"t": func(key any, args ...any) (template.HTML, error) {
			if s, is := key.(said); is {
				return l.html(s)
			}
			return l.html(append(said{key}, args...))
		},
	}
}

// readTongues reads the texts, and parses the templates for each language.
func (s *Server) readTongues() error {
	for _, tag := range languages {
		l, err := readTongue(tag)
		if err != nil {
			return err
		}
		if l.pages, err = parsePages(s.base, s.brand, l.funcs(), func() []*tongue { return s.tongues }); err != nil {
			return err
		}
		s.tongues = append(s.tongues, l)
	}
	return nil
}

// tongueOf is the language of the answer to r: that which the visitor chose, or what the browser asks for.
func (s *Server) tongueOf(r *http.Request) *tongue {
	chosen, _ := onlyCookie(r, s.languageCookie())
	accepted := r.Header.Get("Accept-Language")
	if len(accepted) > 1000 { // no browser sends so many
		accepted = ""
	}
	_, i := language.MatchStrings(matcher, chosen, accepted)
	return s.tongues[i]
}

// languageCookie has the language that a visitor chose.
const (
	languageCookie         = "__Host-Http-cf_lang"
	insecureLanguageCookie = "cf_lang"
	languageFor            = 365 * 24 * 3600 // seconds
)

func (s *Server) languageCookie() string {
	if s.secure {
		return languageCookie
	}
	return insecureLanguageCookie
}

// pageLanguage keeps the language that the visitor chose, and leads back to where that was. The browser
// says where in Referer, see [request.FormReferrerPolicy].
func (s *Server) pageLanguage(w http.ResponseWriter, r *http.Request) error {
	if err := s.form(w, r); err != nil {
		return err
	}
	code := r.PostForm.Get("lang")
	for _, l := range s.tongues {
		if l.Code == code {
			setCookie(w, s.languageCookie(), code, "Lax", languageFor)
			s.leave(w, s.cameFrom(r))
			return nil
		}
	}
	return badRequest("lang is no language of these pages")
}

// cameFrom is the page that r came from, if a visitor may open it by its address: the answer to a form
// is none.
func (s *Server) cameFrom(r *http.Request) destination {
	rest, ours := strings.CutPrefix(r.Referer(), s.origins[0]+s.base)
	path, _, _ := strings.Cut(rest, "?")
	if _, opens := s.pageRoutes()["GET "+path]; !ours || !opens {
		return destination{}
	}
	return s.back(r, rest)
}

// Package config fills a struct of settings from flags, the environment, a file and
// defaults, in this order, and remembers where each value came from. Call [New], then
// [Settings.Load], then [Settings.Check].
//
// The tags of a field are the whole definition of a setting:
//
//	name      its flag; with underscores its key in the file; with Options.Prefix and in
//	          capitals its environment variable
//	default   its value if nothing sets it
//	help      one sentence for people
//	want      the kind of text that it is: a name in Options.Kinds
//	oneof     the words that it may be, with commas between them
//	min, max  the bounds of a duration
//
// A field is a string, a [secret.String], a []string, a bool, an int (from 0 up) or a
// [time.Duration]. The fields of an embedded struct belong to the struct around it, whose tag
// defaults can give them other defaults: "listen=127.0.0.1:8085 ops_listen=off".
//
// A secret has no flag, because everybody on the machine can read those (OPS-11). It comes from a
// file that NAME_FILE in the environment or name_file in the configuration file names, or from
// the environment variable itself.
//
// The package parses no command line: a parser writes the flags into the same struct before
// Load, and Load leaves them alone. It reads no environment either: [Sources] has it.
package config

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/internal/secret"
)

// Options of New.
type Options struct {
	Prefix string // of environment variables, such as COUNTERFOIL_
	Hint   string // for a name that is not a setting and close to none

	Others []string // variables that other programs read: they, and their keys in the file, are no settings, and no error

	// Kinds are what a want tag can name. Each returns what is wrong with a text, as
	// the end of a sentence: `is "x": want a number`.
	Kinds map[string]func(text string) error
}

// Settings is a struct of settings that can be loaded.
type Settings struct {
	opts Options
	all  []Setting
}

// New returns the settings of a struct. It panics if target is no pointer to a struct, or a
// field of it cannot be a setting: that is a mistake in the program.
func New(target any, o Options) *Settings {
	s := &Settings{opts: o}
	s.add(reflect.ValueOf(target).Elem(), nil)
	return s
}

// add adds the fields of v. Instead are defaults that take the place of those of its fields, by key.
func (s *Settings) add(v reflect.Value, instead map[string]string) {
	for i := range v.NumField() {
		field := Setting{field: v.Type().Field(i), value: v.Field(i), prefix: s.opts.Prefix}
		if field.field.Anonymous {
			others := map[string]string{}
			for pair := range strings.FieldsSeq(field.field.Tag.Get("defaults")) {
				key, text, _ := strings.Cut(pair, "=")
				others[key] = text
			}
			s.add(field.value, others)
			continue
		}
		field.text = cmp.Or(instead[field.Key()], field.field.Tag.Get("default"))
		if problem := s.misfit(field); problem != "" {
			panic("config: " + v.Type().String() + "." + field.field.Name + " " + problem)
		}
		s.all = append(s.all, field)
	}
}

// misfit says why a field cannot be a setting.
func (s *Settings) misfit(f Setting) string {
	if !f.field.IsExported() {
		return "is not exported"
	}
	want := f.field.Tag.Get("want")
	switch f.value.Interface().(type) {
	case string, secret.String, []string, bool, int, time.Duration:
	default:
		return "has a type that no setting has"
	}
	switch {
	case f.Flag() == "":
		return "has no name"
	case slices.ContainsFunc(s.all, func(other Setting) bool { return other.Key() == f.Key() }):
		return "has the name of another setting"
	case want != "" && s.opts.Kinds[want] == nil:
		return "wants a kind that Options.Kinds does not have"
	}
	return ""
}

// All returns the settings in the order of their fields.
func (s *Settings) All() []Setting { return slices.Clone(s.all) }

// Setting is one field with its names.
type Setting struct {
	field  reflect.StructField
	value  reflect.Value
	prefix string
	text   string // the default
}

// Flag is the name on the command line, without the dashes.
func (s Setting) Flag() string { return s.field.Tag.Get("name") }

// Key is the name in the configuration file and in messages.
func (s Setting) Key() string { return strings.ReplaceAll(s.Flag(), "-", "_") }

// Env is the environment variable.
func (s Setting) Env() string { return s.prefix + strings.ToUpper(s.Key()) }

// Help is the sentence for people.
func (s Setting) Help() string { return s.field.Tag.Get("help") }

// Default is the text of the value that the setting has if nothing sets it.
func (s Setting) Default() string { return s.text }

// Secret reports whether the setting comes from a file or the environment only.
func (s Setting) Secret() bool { return s.field.Type == reflect.TypeFor[secret.String]() }

// Bounds returns the least and the greatest value of a duration that has both; limited is
// false for every other setting.
func (s Setting) Bounds() (least, most time.Duration, limited bool) {
	least, err := time.ParseDuration(s.field.Tag.Get("min"))
	most, err2 := time.ParseDuration(s.field.Tag.Get("max"))
	return least, most, err == nil && err2 == nil
}

// Kind says what a value is, as a sentence without its full stop; empty: any text.
func (s Setting) Kind() string {
	least, most, limited := s.Bounds()
	switch s.value.Interface().(type) {
	case time.Duration:
		if limited {
			return "A duration from " + Duration(least) + " to " + Duration(most)
		}
		return "A duration such as 10s, 5m or 24h"
	case bool:
		return "It is true or false"
	case int:
		return "A number"
	case []string:
		return "A list: [A, B]"
	}
	return ""
}

// Sample is a value as a file has it: the default, or if that is empty a word that stands for a
// value.
func (s Setting) Sample() (text string, isDefault bool) {
	if text = s.Default(); text != "" {
		return text, true
	}
	word := cmp.Or(s.field.Tag.Get("placeholder"), "TEXT")
	switch s.value.Interface().(type) {
	case bool:
		return "false", true
	case []string:
		return "[" + word + "]", false
	}
	return word, false
}

// Variables are the environment variables of all settings. A secret has two: itself, and the
// path of a file that holds it.
func (s *Settings) Variables() (names []string) {
	for _, f := range s.all {
		names = append(names, f.Env())
		if f.Secret() {
			names = append(names, f.Env()+"_FILE")
		}
	}
	return names
}

// words is what a setting with a oneof tag may be, or nil.
func (s Setting) words() []string {
	if tag := s.field.Tag.Get("oneof"); tag != "" {
		return strings.Split(tag, ",")
	}
	return nil
}

// Text is the value as a file would have it. A secret that is set is "[secret]".
func (s Setting) Text() string {
	switch v := s.value.Interface().(type) {
	case time.Duration:
		return Duration(v)
	case []string:
		return strings.Join(v, ",")
	case secret.String:
		if v.Reveal() == "" {
			return ""
		}
		return v.String()
	default:
		return fmt.Sprint(v)
	}
}

// Duration is d as people write it: 5m, where [time.Duration.String] has 5m0s.
func Duration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

package config

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Verdict is what rules say about a loaded configuration. A program adds the findings of its
// own rules with Refuse, Warn and Danger.
type Verdict struct {
	Origins    Origins
	Production bool // Danger refuses

	Problems []Problem // the program must not start
	Warnings []Problem // the program starts, and logs them
}

// Check applies the rules that the tags of the fields state.
func (s *Settings) Check(where Origins) *Verdict {
	v := &Verdict{Origins: where}
	for _, f := range s.all {
		if err := s.check(f); err != nil {
			v.Refuse(f.Key(), err.Error(), "")
		}
	}
	return v
}

// Err returns the problems as an [Invalid], or nil if there are none.
func (v *Verdict) Err() error {
	if len(v.Problems) == 0 {
		return nil
	}
	return Invalid(v.Problems)
}

// Refuse adds a problem. Problem completes "key ...".
func (v *Verdict) Refuse(key, problem, hint string) {
	v.Problems = append(v.Problems, Problem{Where: v.Origins[key], Key: key, Problem: problem, Hint: hint})
}

// Warn adds a warning.
func (v *Verdict) Warn(key, problem, hint string) {
	v.Warnings = append(v.Warnings, Problem{Where: v.Origins[key], Key: key, Problem: problem, Hint: hint})
}

// Danger is for a value that is right in development only (OPS-12): a problem in production
// mode, otherwise a warning.
func (v *Verdict) Danger(key, problem, hint string) {
	if v.Production {
		v.Refuse(key, problem+", which production mode refuses", hint)
		return
	}
	v.Warn(key, problem, hint)
}

// check returns what is wrong with the value of one setting.
func (s *Settings) check(f Setting) error {
	switch value := f.value.Interface().(type) {
	case time.Duration:
		if least, most, limited := f.Bounds(); limited && (value < least || value > most) {
			return fmt.Errorf("is %s: want %s to %s", Duration(value), Duration(least), Duration(most))
		}
	case string:
		return s.checkText(f, value)
	case []string:
		for _, item := range value {
			if err := s.checkText(f, item); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Settings) checkText(f Setting, text string) error {
	if words := f.words(); words != nil && !slices.Contains(words, text) {
		return fmt.Errorf("is %q: want %s", text, oneOf(words))
	}
	if kind := s.opts.Kinds[f.field.Tag.Get("want")]; kind != nil {
		return kind(text)
	}
	return nil
}

// oneOf is words as the end of a sentence.
func oneOf(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

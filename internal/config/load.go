package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/internal/private"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/internal/textfile"
)

// Sources are the places that values come from.
type Sources struct {
	Flags   map[string]bool // those that the command line had, by name
	Environ []string        // as os.Environ
	File    string          // path of the configuration file; empty: the variable PREFIX_CONFIG, or none

	Warn func(Problem) // gets what may do harm, and stops no program; nil: nobody wants to know
}

// Origins says where the value of each key comes from: "flag --x", "COUNTERFOIL_X",
// "FILE:LINE" or [Default].
type Origins map[string]string

// Default is the origin of a value that nothing has set.
const Default = "default"

// Problem is one thing that is wrong with a configuration.
type Problem struct {
	Where   string `json:"where"` // an origin
	Key     string `json:"key,omitempty"`
	Problem string `json:"problem"` // completes "key ..."
	Hint    string `json:"hint,omitempty"`
}

func (p Problem) String() string {
	text := ""
	if p.Where != Default {
		text = p.Where + ": "
	}
	if p.Key != "" {
		text += p.Key + " "
	}
	text += p.Problem
	if p.Hint != "" {
		text += "\nhint: " + p.Hint
	}
	return text
}

// Invalid is the error of a configuration that a program must not start with.
type Invalid []Problem

func (e Invalid) Error() string {
	lines := make([]string, len(e))
	for i, p := range e {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\ncounterfoil: ")
}

// Load sets every field that no flag has set: from the environment, else from the file, else
// to its default. Names that are no setting and values that cannot be read are errors
// (OPS-12). The error is an [Invalid].
func (s *Settings) Load(from Sources) (Origins, error) {
	env, problems := s.environment(from.Environ)
	if from.File == "" {
		from.File = env[s.opts.Prefix+"CONFIG"]
	}
	lines, more := s.readFile(from.File)
	problems = append(problems, more...)
	where := Origins{}
	for _, f := range s.all {
		origin, err := f.load(from.Flags, env, lines)
		where[f.Key()] = origin
		if bad, ok := errors.AsType[*private.Error](err); ok && bad.Given {
			if err = nil; from.Warn != nil {
				from.Warn(Problem{Where: origin, Key: f.Key(), Problem: "is in a file that " + bad.Problem, Hint: bad.Hint})
			}
		}
		if err != nil {
			problems = append(problems, Problem{Where: origin, Key: f.Key(), Problem: err.Error()})
		}
	}
	if len(problems) > 0 {
		return nil, Invalid(problems)
	}
	return where, nil
}

// load sets one field and says from where.
func (s Setting) load(flags map[string]bool, env map[string]string, lines map[string]line) (origin string, err error) {
	text, inEnv := env[s.Env()]
	path, named := env[s.Env()+"_FILE"]
	line, inFile := lines[s.Key()]
	switch {
	case flags[s.Flag()]:
		return "flag --" + s.Flag(), nil
	case inEnv && named:
		return s.Env(), fmt.Errorf("is set, and so is %s_FILE", s.Env())
	case inEnv:
		return s.Env(), s.set(text)
	case named:
		return s.Env() + "_FILE", s.setFromFile(path)
	case inFile && s.Secret():
		return line.where, s.setFromFile(line.text)
	case inFile:
		return line.where, s.set(line.text)
	}
	return Default, s.set(s.Default())
}

// environment returns the variables that are settings. An empty one counts as not set.
func (s *Settings) environment(environ []string) (map[string]string, []Problem) {
	names := append(s.Variables(), s.opts.Prefix+"CONFIG")
	found, problems := map[string]string{}, []Problem(nil)
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		value = strings.TrimSpace(value) // files of variables may have the line ends of Windows
		switch {
		case !strings.HasPrefix(name, s.opts.Prefix) || value == "":
		case slices.Contains(names, name):
			found[name] = value
		case !slices.Contains(s.opts.Others, name) && !neighbour(name, value):
			problems = append(problems, Problem{Where: name, Problem: "is not a setting", Hint: s.suggest(name, names)})
		}
	}
	return found, problems
}

// set parses text into the field.
func (s Setting) set(text string) error {
	switch p := s.value.Addr().Interface().(type) {
	case *string:
		*p = text
	case *secret.String:
		*p = secret.String{}
		if text != "" {
			text, err := textfile.Secret(text)
			if err != nil {
				return err
			}
			*p = secret.New(text)
		}
	case *[]string:
		*p = nil
		for part := range strings.SplitSeq(text, ",") {
			if part = strings.TrimSpace(part); part != "" {
				*p = append(*p, part)
			}
		}
	case *bool:
		if text != "true" && text != "false" && text != "" {
			return fmt.Errorf("is %q: want true or false", text)
		}
		*p = text == "true"
	case *int:
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return fmt.Errorf("is %q: want a number", text)
		}
		*p = n
	case *time.Duration:
		d, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("is %q: want a duration such as 10s, 5m or 24h", text)
		}
		*p = d
	}
	return nil
}

// setFromFile reads a secret. A file that others may read is refused: its secret is none (OPS-11). A [private.Error] that is Given comes
// with the secret set.
func (s Setting) setFromFile(path string) error {
	err := private.Secret(path)
	bad, open := errors.AsType[*private.Error](err)
	if open && !bad.Given {
		return fmt.Errorf("is in a file that %s\nhint: %s", bad.Problem, bad.Hint)
	}
	text, failed := textfile.ReadSecret(path)
	if failed != nil {
		return fmt.Errorf("cannot be read: %w", private.Unreadable(path, failed))
	}
	if failed := s.set(text); failed != nil || !open {
		return failed
	}
	return bad
}

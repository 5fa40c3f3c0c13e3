package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/counterfoil/counterfoil/internal/secret"
)

// origins says where each key's value comes from: "flag --x", "COUNTERFOIL_X",
// "FILE:LINE" or "default".
type origins map[string]string

// problem is one thing that is wrong with a configuration.
type problem struct {
	Where   string `json:"where"` // an origin
	Key     string `json:"key,omitempty"`
	Problem string `json:"problem"`
	Hint    string `json:"hint,omitempty"`
}

func (p problem) String() string {
	text := ""
	if p.Where != "default" {
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

// configError is a configuration that the server does not start with.
type configError []problem

func (e configError) Error() string {
	lines := make([]string, len(e))
	for i, p := range e {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\ncounterfoil: ")
}

// outside is everything that a configuration is read from, beside flags.
type outside struct {
	given   map[string]bool // flags on the command line, by name
	environ []string        // as os.Environ
	file    string          // path; empty: COUNTERFOIL_CONFIG, or none
}

// load fills in what flags did not give: flag, then environment, then file, then
// default. Whatever is unknown or malformed is an error (OPS-12).
func (c *config) load(from outside) (origins, error) {
	env, problems := environment(c.settings(), from.environ)
	if from.file == "" {
		from.file = env[envPrefix+"CONFIG"]
	}
	lines, more := readFile(c.settings(), from.file)
	problems = append(problems, more...)
	where := origins{}
	for _, s := range c.settings() {
		key := s.key()
		text, inEnv := env[s.env()]
		line, inFile := lines[key]
		var err error
		switch {
		case from.given[s.flag()]:
			where[key] = "flag --" + s.flag()
		case inEnv:
			where[key] = s.env()
			err = s.set(text)
		case s.secret() && env[s.env()+"_FILE"] != "":
			where[key] = s.env() + "_FILE"
			err = s.setFromFile(env[s.env()+"_FILE"])
		case inFile && s.secret():
			where[key] = line.where
			err = s.setFromFile(line.text)
		case inFile:
			where[key] = line.where
			err = s.set(line.text)
		default:
			where[key] = "default"
			err = s.set(s.field.Tag.Get("default"))
		}
		if err != nil {
			problems = append(problems, problem{Where: where[key], Key: key, Problem: err.Error()})
		}
	}
	if len(problems) > 0 {
		return nil, configError(problems)
	}
	return where, nil
}

// kubernetes matches what Kubernetes puts into every container beside a Service
// that is called counterfoil: nobody meant it for us.
var kubernetes = regexp.MustCompile(`^COUNTERFOIL_(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT(_.*)?)$`)

// environment returns the variables that are ours. An empty one counts as not set.
func environment(known []setting, environ []string) (map[string]string, []problem) {
	names := []string{envPrefix + "CONFIG"}
	for _, s := range known {
		names = append(names, s.env())
		if s.secret() {
			names = append(names, s.env()+"_FILE")
		}
	}
	found, problems := map[string]string{}, []problem(nil)
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		switch {
		case !strings.HasPrefix(name, envPrefix) || value == "" || kubernetes.MatchString(name):
		case slices.Contains(names, name):
			found[name] = value
		default:
			problems = append(problems, problem{Where: name, Problem: "is not a setting", Hint: nearest(name, names)})
		}
	}
	return found, problems
}

// line is a value in the configuration file.
type line struct{ text, where string }

// readFile reads one flat YAML mapping. A secret is named with _file and its path.
func readFile(known []setting, path string) (map[string]line, []problem) {
	if path == "" {
		return nil, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = errors.New("no such file")
		}
		return nil, []problem{{Where: path, Problem: strings.TrimPrefix(err.Error(), "open "+path+": ")}}
	}
	var root yaml.Node
	decoder := yaml.NewDecoder(strings.NewReader(string(data)))
	if err := decoder.Decode(&root); err != nil {
		if len(strings.TrimSpace(string(data))) == 0 || root.Kind == 0 && err.Error() == "EOF" {
			return nil, nil
		}
		return nil, []problem{syntax(path, err)}
	}
	if err := decoder.Decode(new(yaml.Node)); err == nil {
		return nil, []problem{{Where: path, Problem: "holds more than one YAML document"}}
	}
	mapping := root.Content[0]
	if mapping.Kind != yaml.MappingNode {
		return nil, []problem{{Where: at(path, mapping), Problem: "want lines of the form key: value"}}
	}
	names := make(map[string]setting, len(known))
	for _, s := range known {
		if s.secret() {
			names[s.key()+"_file"] = s
		} else {
			names[s.key()] = s
		}
	}
	return readMapping(path, mapping, names)
}

func readMapping(path string, mapping *yaml.Node, names map[string]setting) (map[string]line, []problem) {
	lines, problems := map[string]line{}, []problem(nil)
	for i := 0; i < len(mapping.Content); i += 2 {
		name, value := mapping.Content[i], mapping.Content[i+1]
		s, known := names[name.Value]
		if !known {
			list := make([]string, 0, len(names))
			for n := range names {
				list = append(list, n)
			}
			problems = append(problems, problem{Where: at(path, name), Problem: fmt.Sprintf("unknown key %q", name.Value), Hint: nearest(name.Value, list)})
			continue
		}
		if earlier, twice := lines[s.key()]; twice {
			problems = append(problems, problem{Where: at(path, name), Key: name.Value, Problem: "is set twice, first at " + earlier.where})
			continue
		}
		text, err := scalar(s, value)
		if err != nil {
			problems = append(problems, problem{Where: at(path, value), Key: name.Value, Problem: err.Error()})
			continue
		}
		lines[s.key()] = line{text, at(path, name)}
	}
	return lines, problems
}

// scalar is the text of a value: one scalar, or for a list a sequence of them.
func scalar(s setting, n *yaml.Node) (string, error) {
	list := s.field.Type.Kind() == reflect.Slice
	switch {
	case n.Kind == yaml.SequenceNode && list:
		var all []string
		for _, item := range n.Content {
			if item.Kind != yaml.ScalarNode || strings.Contains(item.Value, ",") {
				return "", errors.New("wants a list of plain values")
			}
			all = append(all, item.Value)
		}
		return strings.Join(all, ","), nil
	case n.Kind != yaml.ScalarNode || n.Tag == "!!null":
		if list {
			return "", errors.New("wants a list of plain values")
		}
		return "", errors.New("wants one plain value")
	}
	return n.Value, nil
}

func at(path string, n *yaml.Node) string { return path + ":" + strconv.Itoa(n.Line) }

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

func syntax(path string, err error) problem {
	m := yamlLine.FindStringSubmatch(strings.ReplaceAll(err.Error(), "\n", " "))
	switch {
	case m == nil:
		return problem{Where: path, Problem: err.Error()}
	case m[1] == "":
		return problem{Where: path, Problem: m[2]}
	}
	return problem{Where: path + ":" + m[1], Problem: m[2]}
}

// set parses text into the field.
func (s setting) set(text string) error {
	switch p := s.value.Addr().Interface().(type) {
	case *string:
		*p = text
	case *secret.String:
		*p = secret.String{}
		if text != "" {
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
		switch text {
		case "true", "false", "":
			*p = text == "true"
		default:
			return fmt.Errorf("is %q: want true or false", text)
		}
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

// setFromFile reads a secret; the line end that editors add is not part of it.
func (s setting) setFromFile(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("cannot be read: %w", err)
	}
	text := strings.TrimRight(string(data), "\r\n")
	if text == "" {
		return fmt.Errorf("cannot be read: %s is empty", path)
	}
	return s.set(text)
}

func reflectText(v reflect.Value) string { return fmt.Sprint(v.Interface()) }

// nearest is a hint that names the closest of names, if one is close.
func nearest(name string, names []string) string {
	bare := strings.TrimPrefix(name, envPrefix)
	best, distance := "", len(bare)/3+2
	slices.Sort(names)
	for _, n := range names {
		if d := edits(bare, strings.TrimPrefix(n, envPrefix)); d < distance {
			best, distance = n, d
		}
	}
	if best == "" {
		return "counterfoil config print lists all settings"
	}
	return "did you mean " + best + "?"
}

// edits is the number of letters to insert, delete or replace (Levenshtein).
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// line is a value in the configuration file.
type line struct{ text, where string }

// readFile reads one flat YAML mapping. A secret is named with _file and its path.
func (s *Settings) readFile(path string) (map[string]line, []Problem) {
	if path == "" {
		return nil, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = errors.New("no such file")
		}
		return nil, []Problem{{Where: path, Problem: strings.TrimPrefix(err.Error(), "open "+path+": ")}}
	}
	var root yaml.Node
	decoder := yaml.NewDecoder(strings.NewReader(string(data)))
	if err := decoder.Decode(&root); err != nil {
		if len(strings.TrimSpace(string(data))) == 0 || errors.Is(err, io.EOF) {
			return nil, nil
		}
		return nil, []Problem{syntax(path, err)}
	}
	if err := decoder.Decode(new(yaml.Node)); err == nil {
		return nil, []Problem{{Where: path, Problem: "holds more than one YAML document"}}
	}
	mapping := root.Content[0]
	if mapping.Kind != yaml.MappingNode {
		return nil, []Problem{{Where: at(path, mapping), Problem: "want lines of the form key: value"}}
	}
	names := make(map[string]Setting, len(s.all))
	for _, f := range s.all {
		if f.Secret() {
			names[f.Key()+"_file"] = f
		} else {
			names[f.Key()] = f
		}
	}
	return s.readMapping(path, mapping, names)
}

func (s *Settings) readMapping(path string, mapping *yaml.Node, names map[string]Setting) (map[string]line, []Problem) {
	lines, problems := map[string]line{}, []Problem(nil)
	for i := 0; i < len(mapping.Content); i += 2 {
		name, value := mapping.Content[i], mapping.Content[i+1]
		f, known := names[name.Value]
		if !known {
			list := slices.Collect(maps.Keys(names))
			problems = append(problems, Problem{Where: at(path, name), Problem: fmt.Sprintf("unknown key %q", name.Value), Hint: s.suggest(name.Value, list)})
			continue
		}
		if earlier, twice := lines[f.Key()]; twice {
			problems = append(problems, Problem{Where: at(path, name), Key: name.Value, Problem: "is set twice, first at " + earlier.where})
			continue
		}
		text, err := scalar(f, value)
		if err != nil {
			problems = append(problems, Problem{Where: at(path, value), Key: name.Value, Problem: err.Error()})
			continue
		}
		lines[f.Key()] = line{text, at(path, name)}
	}
	return lines, problems
}

// scalar is the text of a value: one scalar, or for a list a sequence of them.
func scalar(s Setting, n *yaml.Node) (string, error) {
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

func syntax(path string, err error) Problem {
	m := yamlLine.FindStringSubmatch(strings.ReplaceAll(err.Error(), "\n", " "))
	switch {
	case m == nil:
		return Problem{Where: path, Problem: err.Error()}
	case m[1] == "":
		return Problem{Where: path, Problem: m[2]}
	}
	return Problem{Where: path + ":" + m[1], Problem: m[2]}
}

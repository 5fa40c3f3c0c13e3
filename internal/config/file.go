package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/counterfoil/counterfoil/internal/textfile"
)

// line is a value in the configuration file.
type line struct{ text, where string }

// readFile reads one flat YAML mapping. A secret is named with _file and its path.
func (s *Settings) readFile(path string) (map[string]line, []Problem) {
	if path == "" {
		return nil, nil
	}
	data, err := textfile.Read(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = errors.New("no such file")
		}
		return nil, []Problem{{Where: path, Problem: strings.TrimPrefix(strings.TrimPrefix(err.Error(), "open "+path+": "), path+" ")}}
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
	r := reading{Settings: s, path: path, names: names}
	return r.mapping(mapping), r.problems
}

// maxMerges bounds what "<<" brings in: a mapping that contains itself has no end.
const maxMerges = 100

// reading is a file that is being read.
type reading struct {
	*Settings
	path     string
	names    map[string]Setting
	merges   int
	problems []Problem
}

// mapping returns the settings of a mapping. Its own keys win over those that it merges with "<<",
// and an earlier merge over a later one (https://yaml.org/type/merge.html). A key that begins with
// x- is no setting: it is a place for what has an anchor.
func (r *reading) mapping(mapping *yaml.Node) map[string]line {
	lines, merged := map[string]line{}, []*yaml.Node(nil)
	for i := 0; i < len(mapping.Content); i += 2 {
		name, value := mapping.Content[i], behind(mapping.Content[i+1])
		f, known := r.names[name.Value]
		switch {
		case name.Tag == "!!merge" && value.Kind == yaml.SequenceNode:
			merged = append(merged, value.Content...)
		case name.Tag == "!!merge":
			merged = append(merged, value)
		case known:
			r.set(lines, f, name, mapping.Content[i+1])
		case !strings.HasPrefix(name.Value, "x-") && !r.isOther(name.Value):
			r.refuse(name, Problem{Problem: fmt.Sprintf("unknown key %q", name.Value), Hint: r.suggest(name.Value, slices.Collect(maps.Keys(r.names)))})
		}
	}
	for _, m := range merged {
		m = behind(m)
		if r.merges++; m.Kind != yaml.MappingNode || r.merges > maxMerges {
			r.refuse(m, Problem{Key: "<<", Problem: fmt.Sprintf("wants mappings, %d at most", maxMerges)})
			break
		}
		for key, l := range r.mapping(m) {
			if _, own := lines[key]; !own {
				lines[key] = l
			}
		}
	}
	return lines
}

// isOther reports whether key is a setting of another program.
func (s *Settings) isOther(key string) bool {
	return slices.ContainsFunc(s.opts.Others, func(name string) bool { return strings.ToLower(strings.TrimPrefix(name, s.opts.Prefix)) == key })
}

func (r *reading) set(lines map[string]line, f Setting, name, value *yaml.Node) {
	if earlier, twice := lines[f.Key()]; twice {
		r.refuse(name, Problem{Key: name.Value, Problem: "is set twice, first at " + earlier.where})
		return
	}
	text, err := scalar(f, value)
	if err != nil {
		r.refuse(value, Problem{Key: name.Value, Problem: err.Error()})
		return
	}
	lines[f.Key()] = line{text, at(r.path, name)}
}

func (r *reading) refuse(n *yaml.Node, p Problem) {
	p.Where = at(r.path, n)
	r.problems = append(r.problems, p)
}

// behind is n, or what it is an alias of.
func behind(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// maxList is the length of a list as text: aliases make a long one of a short file.
const maxList = 64 << 10

// scalar is the text of a value: one scalar, or for a list a sequence of them.
func scalar(s Setting, n *yaml.Node) (string, error) {
	list := s.field.Type.Kind() == reflect.Slice
	n = behind(n)
	switch {
	case n.Kind == yaml.SequenceNode && list:
		var all []string
		size := 0
		for _, item := range n.Content {
			item = behind(item)
			if item.Kind != yaml.ScalarNode || strings.Contains(item.Value, ",") {
				return "", errors.New("wants a list of plain values")
			}
			if size += len(item.Value) + 1; size > maxList {
				return "", fmt.Errorf("is longer than %d bytes", maxList)
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

package monitor

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/counterfoil/counterfoil/internal/config"
	"github.com/counterfoil/counterfoil/internal/private"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/internal/textfile"
)

// reader reads nodes of a file and collects what is wrong, each with its line. A method that
// refuses a node returns the zero value.
type reader struct {
	path     string // of the file
	problems []config.Problem
	hosts    []host
}

// host is where a check connects to.
type host struct {
	at   *yaml.Node
	host string
}

func (r *reader) refuse(n *yaml.Node, problem, hint string) {
	r.problems = append(r.problems, config.Problem{Where: r.path + ":" + strconv.Itoa(n.Line), Problem: problem, Hint: hint})
}

// closest is the hint for a name that is nearly one of all.
func closest(name string, all []string) (hint string) {
	if near := config.Closest(name, all); near != "" {
		hint = "did you mean " + near + "?"
	}
	return hint
}

// behind is n, or what it is an alias of.
func behind(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// mapping calls the function of each member. A member that has none, or that is there twice, is
// refused.
func (r *reader) mapping(n *yaml.Node, what string, members map[string]func(*yaml.Node)) {
	n = behind(n)
	if n.Kind != yaml.MappingNode {
		r.refuse(n, what+": want lines of the form name: value", "")
		return
	}
	seen := map[string]bool{}
	var merged []*yaml.Node
	for i := 0; i < len(n.Content); i += 2 {
		name, read := n.Content[i], members[n.Content[i].Value]
		switch {
		case name.Tag == "!!merge":
			merged = append(merged, behind(n.Content[i+1]))
		case seen[name.Value]:
			r.refuse(name, fmt.Sprintf("%s is there twice", name.Value), "")
		case read != nil:
			seen[name.Value] = true
			read(behind(n.Content[i+1]))
		case !strings.HasPrefix(name.Value, "x-"): // a place for what has an anchor
			r.refuse(name, fmt.Sprintf("%s has no member %q", what, name.Value), closest(name.Value, slices.Collect(maps.Keys(members))))
		}
	}
	r.merge(merged, what, seen, members)
}

// merge reads what a mapping merges with "<<" (https://yaml.org/type/merge.html): its own members win.
func (r *reader) merge(merged []*yaml.Node, what string, seen map[string]bool, members map[string]func(*yaml.Node)) {
	for _, n := range merged {
		if n.Kind != yaml.MappingNode || slices.ContainsFunc(n.Content, func(c *yaml.Node) bool { return c.Tag == "!!merge" }) {
			r.refuse(n, what+": << wants one mapping, which merges none itself", "")
			continue
		}
		for i := 0; i < len(n.Content); i += 2 {
			name := n.Content[i]
			switch read := members[name.Value]; {
			case read == nil:
				r.refuse(name, fmt.Sprintf("%s has no member %q", what, name.Value), "")
			case !seen[name.Value]:
				seen[name.Value] = true
				read(behind(n.Content[i+1]))
			}
		}
	}
}

// list calls read for each item.
func (r *reader) list(n *yaml.Node, what string, read func(*yaml.Node)) {
	if n.Kind != yaml.SequenceNode {
		r.refuse(n, what+": want a list", "")
		return
	}
	for _, item := range n.Content {
		read(behind(item))
	}
}

// text is one plain value.
func (r *reader) text(n *yaml.Node) string {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		r.refuse(n, "want one plain value", "")
		return ""
	}
	return n.Value
}

// texts is a list of plain values, or one.
func (r *reader) texts(n *yaml.Node) (all []string) {
	if n.Kind == yaml.ScalarNode {
		return []string{r.text(n)}
	}
	r.list(n, "this", func(item *yaml.Node) { all = append(all, r.text(item)) })
	return all
}

func (r *reader) flag(n *yaml.Node) bool {
	if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" {
		r.refuse(n, "want true or false", "")
		return false
	}
	return n.Value == "true"
}

func (r *reader) number(n *yaml.Node, least, most int) int {
	i, err := strconv.Atoi(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil || i < least || i > most {
		r.refuse(n, fmt.Sprintf("want a number from %d to %d", least, most), "")
		return 0
	}
	return i
}

func (r *reader) duration(n *yaml.Node, least, most time.Duration) time.Duration {
	d, err := time.ParseDuration(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil || d < least || d > most {
		r.refuse(n, fmt.Sprintf("want a duration from %s to %s, such as %s", config.Duration(least), config.Duration(most), config.Duration(min(max(least, time.Minute), most))), "")
		return 0
	}
	return d
}

// file is the path of a file: relative ones are below the folder of the file that is read.
func (r *reader) file(n *yaml.Node) string {
	path := r.text(n)
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(r.path), path)
}

// secret is what a file holds, whose path is in the node.
func (r *reader) secret(n *yaml.Node) secret.String {
	path := r.file(n)
	if path == "" {
		return secret.String{}
	}
	if open, is := errors.AsType[*private.Error](private.Secret(path)); is && !open.Given {
		r.refuse(n, "names a file that "+open.Problem, open.Hint)
		return secret.String{}
	}
	text, err := textfile.ReadSecret(path)
	if err != nil {
		r.refuse(n, "cannot be read: "+err.Error(), "this is the path of a file that holds the secret")
		return secret.String{}
	}
	return secret.New(text)
}

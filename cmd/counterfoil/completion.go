package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// completeName is the command that the scripts call. It is not in the tree of commands: its
// arguments are a line that a person has not finished.
const completeName = "__complete"

// Run prints the script of a shell. The scripts know no command: they ask the program that stands
// on the line, so they fit every version.
func (c *completionCommand) Run() error {
	_, err := fmt.Print(completions[c.Shell])
	return err
}

var completions = map[string]string{
	"bash": `# Completion of counterfoil for bash. For this shell: source <(counterfoil completion bash)
# For all: counterfoil completion bash > /usr/share/bash-completion/completions/counterfoil
_counterfoil() {
	local line kind=
	COMPREPLY=()
	while IFS= read -r line; do
		if [[ -z $kind ]]; then
			kind=$line
		else
			COMPREPLY+=("${line%%$'\t'*}")
		fi
	done < <("${COMP_WORDS[0]/#\~/$HOME}" ` + completeName + ` "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
	if [[ $kind == files ]]; then
		compopt -o default
	fi
}
complete -F _counterfoil counterfoil
`,
	"zsh": `#compdef counterfoil
# Completion of counterfoil for zsh. For this shell: source <(counterfoil completion zsh)
# For all: counterfoil completion zsh > /usr/local/share/zsh/site-functions/_counterfoil
_counterfoil() {
	local -a lines
	lines=("${(@f)$("${(Q)words[1]}" ` + completeName + ` "${(@)words[2,CURRENT]}" 2>/dev/null)}")
	if [[ $lines[1] == files ]]; then
		_files
		return
	fi
	shift lines
	lines=("${(@)lines//:/\\:}")
	lines=("${(@)lines/$'\t'/:}")
	_describe counterfoil lines
}
if [[ $funcstack[1] == _counterfoil ]]; then
	_counterfoil "$@"
else
	compdef _counterfoil counterfoil
fi
`,
	"fish": `# Completion of counterfoil for fish. For this shell: counterfoil completion fish | source
# For all: counterfoil completion fish > /etc/fish/completions/counterfoil.fish
function __counterfoil_complete
	set -l words (commandline -opc)
	set -l current (commandline -ct)
	test (count $current) -eq 0; and set current ''
	set -l lines (command $words[1] ` + completeName + ` $words[2..] $current 2>/dev/null)
	if test "$lines[1]" = files
		__fish_complete_path $current
	else
		printf '%s\n' $lines[2..]
	end
end
complete -c counterfoil -f -a '(__counterfoil_complete)'
`,
}

// complete writes what the last of words can be. The first line is "files", or "words" and then
// a candidate in each line, with a tab and what it is.
func complete(w io.Writer, model *kong.Application, words []string) {
	if len(words) == 0 {
		words = []string{""}
	}
	at := position{node: model.Node}
	for _, word := range words[:len(words)-1] {
		at.pass(word)
	}
	found := at.candidates(words[len(words)-1])
	if found == nil {
		fmt.Fprintln(w, "files")
		return
	}
	fmt.Fprintln(w, "words")
	for _, c := range found {
		fmt.Fprintf(w, "%s\t%s\n", c.word, c.help)
	}
}

// position is a place on a line: behind the words that were passed.
type position struct {
	node        *kong.Node
	flag        *kong.Flag // whose value comes next
	positionals int        // that were passed
	rest        bool       // after --: no flags
}

type candidate struct{ word, help string }

func (p *position) pass(word string) {
	switch {
	case p.flag != nil && word == "=": // bash makes a word of it
	case p.flag != nil:
		p.flag = nil
	case word == "--":
		p.rest = true
	case strings.HasPrefix(word, "-") && !p.rest:
		name, _, valued := strings.Cut(strings.TrimLeft(word, "-"), "=")
		for _, f := range p.flags() {
			if f.Name == name && !f.IsBool() && !valued {
				p.flag = f
			}
		}
	default:
		for _, child := range p.node.Children {
			if child.Name == word {
				p.node = child
				return
			}
		}
		p.positionals++
	}
}

// flags are those that the commands so far have, and the default command below.
func (p *position) flags() (all []*kong.Flag) {
	if d := p.node.DefaultCmd; d != nil {
		all = append(all, d.Flags...)
	}
	for n := p.node; n != nil; n = n.Parent {
		all = append(all, n.Flags...)
	}
	return all
}

// candidates are the words that begin with begun. nil: names of files.
func (p *position) candidates(begun string) []candidate {
	found := []candidate{}
	add := func(word, help string) {
		if strings.HasPrefix(word, begun) {
			found = append(found, candidate{word, strings.ReplaceAll(help, "\n", " ")})
		}
	}
	name, _, valued := strings.Cut(strings.TrimLeft(begun, "-"), "=")
	var value *kong.Value
	prefix := ""
	switch {
	case p.flag != nil:
		value, begun = p.flag.Value, strings.TrimPrefix(begun, "=")
	case strings.HasPrefix(begun, "-") && !p.rest:
		for _, f := range p.flags() {
			if valued && f.Name == name {
				value, prefix = f.Value, "--"+name+"="
			} else if !valued && !f.Hidden {
				add("--"+f.Name, f.Help)
			}
		}
	default:
		for _, child := range p.node.Children {
			if !child.Hidden && p.positionals == 0 {
				add(child.Name, child.Help)
			}
		}
		if p.positionals < len(p.node.Positional) {
			value = p.node.Positional[p.positionals]
		}
	}
	if value == nil {
		return found
	}
	words := wordsOf(value)
	if words == nil && (value.Tag.Type == "path" || value.Name == "file" || strings.Contains(value.Tag.PlaceHolder, "FILE")) {
		return nil
	}
	for _, word := range words {
		add(prefix+word, "")
	}
	return found
}

// wordsOf are the words that a value may be; nil: it may be others.
func wordsOf(v *kong.Value) []string {
	if list := v.Enum + v.Tag.Get("oneof"); list != "" {
		return strings.Split(list, ",")
	}
	return nil
}

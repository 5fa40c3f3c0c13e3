// Package markdown finds the code blocks of a Markdown page, for tests of the documents. It
// knows fenced blocks only; [Indented] finds those that are written without a fence.
package markdown

import (
	"fmt"
	"regexp"
	"strings"
)

// Block is a fenced code block.
type Block struct {
	Line int    // number of the line with the fence
	Info string // the word behind the fence: the language
	Text string // the lines inside, without the indentation of the fence
}

// Blocks returns the fenced code blocks of a page.
func Blocks(page string) (blocks []Block) {
	var open *Block
	indent := ""
	n := 0
	for line := range strings.Lines(page) {
		n++
		text := strings.TrimLeft(line, " ")
		switch {
		case open == nil && strings.HasPrefix(text, "```"):
			indent = line[:len(line)-len(text)]
			open = &Block{Line: n, Info: strings.TrimSpace(strings.TrimLeft(text, "`"))}
		case open != nil && strings.TrimSpace(text) == "```":
			blocks, open = append(blocks, *open), nil
		case open != nil:
			open.Text += strings.TrimPrefix(line, indent)
		}
	}
	return blocks
}

var item = regexp.MustCompile(`^ *([-*+]|[0-9]+[.)]) `)

// Indented returns the numbers of the lines that begin a code block without a fence: four
// spaces or more behind an empty line.
func Indented(page string) (lines []int) {
	fenced, empty := false, true
	n := 0
	for line := range strings.Lines(page) {
		n++
		blank := strings.TrimSpace(line) == ""
		switch {
		case strings.HasPrefix(strings.TrimLeft(line, " "), "```"):
			fenced = !fenced
		case !fenced && empty && !blank && strings.HasPrefix(line, "    ") && !item.MatchString(line):
			lines = append(lines, n)
		}
		empty = blank
	}
	return lines
}

// Find returns the index of the one block that contains a text.
func Find(blocks []Block, part string) (int, error) {
	found := -1
	for n, b := range blocks {
		if !strings.Contains(b.Text, part) {
			continue
		}
		if found >= 0 {
			return 0, fmt.Errorf("the blocks in lines %d and %d both have %q", blocks[found].Line, b.Line, part)
		}
		found = n
	}
	if found < 0 {
		return 0, fmt.Errorf("no block has %q", part)
	}
	return found, nil
}

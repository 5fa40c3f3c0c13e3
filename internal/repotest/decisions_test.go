package repotest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	decisionFile  = regexp.MustCompile(`^([0-9]{4})-[a-z0-9-]+\.md$`)
	decisionTitle = regexp.MustCompile(`^# ([0-9]{4}): (.+)\n\nDate: ([0-9]{4}-[0-9]{2}-[0-9]{2})\. Status: (accepted|superseded by ([0-9]{4}))\.`)
	decisionLine  = regexp.MustCompile(`(?m)^\| \[[0-9]{4}\]`)
	decisionList  = regexp.MustCompile(`\([0-9]{4}(?:, [0-9]{4})*\)`)
)

// decisionHeadings stand in each note, in this order.
var decisionHeadings = []string{"Decision", "Why", "Alternatives", "Limits", "Revisit"}

// Each note of docs/decisions has a number of its own, a date, a status, the five headings
// and a line in the index. A number in brackets names a note.
func TestDecisions(t *testing.T) {
	const dir = "docs/decisions"
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	index := text(t, filepath.Join(dir, "README.md"))
	notes, named := map[string]string{}, map[string]string{}
	for _, f := range files {
		if f.Name() == "README.md" {
			continue
		}
		file := decisionFile.FindStringSubmatch(f.Name())
		if file == nil {
			t.Errorf("%s/%s is not named NNNN-words.md", dir, f.Name())
			continue
		}
		number, note := file[1], text(t, filepath.Join(dir, f.Name()))
		if notes[number] != "" {
			t.Errorf("%s and %s have one number: the newer one takes the next that is free", notes[number], f.Name())
		}
		notes[number] = f.Name()
		title := decisionTitle.FindStringSubmatch(note)
		if title == nil || title[1] != number {
			t.Errorf("%s does not begin with its number and title, its date and its status, as %s/README.md shows", f.Name(), dir)
			continue
		}
		if by := title[5]; by != "" {
			named[by] = f.Name()
		}
		line := fmt.Sprintf("| [%s](%s) | %s | %s | %s |\n", number, f.Name(), title[2], title[3], title[4])
		if !strings.Contains(index, line) {
			t.Errorf("%s/README.md lacks the line\n%s", dir, line)
		}
		at := 0
		for _, heading := range decisionHeadings {
			next := strings.Index(note[at:], "\n## "+heading+"\n")
			if next < 0 {
				t.Errorf("%s has no heading %q after the ones before it in %q", f.Name(), heading, decisionHeadings)
				break
			}
			at += next + 1
		}
		for _, list := range decisionList.FindAllString(note, -1) {
			for number := range strings.SplitSeq(strings.Trim(list, "()"), ", ") {
				if strings.HasPrefix(number, "00") {
					named[number] = f.Name()
				}
			}
		}
	}
	for number, by := range named {
		if notes[number] == "" {
			t.Errorf("%s names %s, which is no note", by, number)
		}
	}
	lines := decisionLine.FindAllString(index, -1)
	if len(lines) != len(notes) || !slices.IsSorted(lines) {
		t.Errorf("%s/README.md lists %d notes, there are %d; they stand in order: %v", dir, len(lines), len(notes), slices.IsSorted(lines))
	}
}

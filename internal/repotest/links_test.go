package repotest

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	link    = regexp.MustCompile(`\]\(([^):\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
	fence   = regexp.MustCompile("(?ms)^ *```.*?^ *```$")
	marks   = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// What documents link to is there: the file, and the heading if the link names one.
func TestLinks(t *testing.T) {
	found := 0
	err := fs.WalkDir(os.DirFS("."), ".", func(page string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(page, ".md") {
			return err
		}
		for _, m := range link.FindAllStringSubmatch(inline.ReplaceAllString(fence.ReplaceAllString(text(t, page), ""), ""), -1) {
			file, anchor, _ := strings.Cut(m[1], "#")
			to := page
			if file != "" {
				to = filepath.Join(filepath.Dir(page), file)
			}
			found++
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s: %v", page, err)
			} else if anchor != "" && !anchors(text(t, to))[anchor] {
				t.Errorf("%s: %s: there is no such heading", page, m[1])
			}
		}
		return nil
	})
	if err != nil || found < 200 {
		t.Errorf("%v, and %d links", err, found)
	}
}

// The index of the documents has each of them.
func TestIndex(t *testing.T) {
	const index = "docs/README.md"
	content := text(t, index)
	for _, page := range pages(t) {
		if name, found := strings.CutPrefix(page, "docs/"); found && page != index && !strings.Contains(content, "]("+name+")") {
			t.Errorf("%s does not list %s", index, page)
		}
	}
}

// anchors are those that forges give to the headings of a page.
func anchors(page string) map[string]bool {
	all := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(fence.ReplaceAllString(page, ""), -1) {
		all[strings.ReplaceAll(marks.ReplaceAllString(strings.ToLower(link.ReplaceAllString(m[1], "]")), ""), " ", "-")] = true
	}
	return all
}

package repotest

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// asvs is how many requirements of the levels 1 and 2 each section of ASVS 5.0.0 has. In each
// section they come before those of level 3.
var asvs = map[string]int{
	"V1.1": 2, "V1.2": 9, "V1.3": 11, "V1.4": 3, "V1.5": 2,
	"V2.1": 3, "V2.2": 3, "V2.3": 4, "V2.4": 1,
	"V3.2": 2, "V3.3": 4, "V3.4": 6, "V3.5": 5, "V3.7": 2,
	"V4.1": 3, "V4.2": 1, "V4.3": 2, "V4.4": 4,
	"V5.1": 1, "V5.2": 3, "V5.3": 2, "V5.4": 3,
	"V6.1": 3, "V6.2": 12, "V6.3": 4, "V6.4": 4, "V6.5": 5, "V6.6": 3, "V6.8": 4,
	"V7.1": 3, "V7.2": 4, "V7.3": 2, "V7.4": 5, "V7.5": 2, "V7.6": 2,
	"V8.1": 2, "V8.2": 3, "V8.3": 1, "V8.4": 1,
	"V9.1": 3, "V9.2": 4,
	"V10.1": 2, "V10.2": 2, "V10.3": 4, "V10.4": 11, "V10.5": 5, "V10.6": 2, "V10.7": 3,
	"V11.1": 2, "V11.2": 3, "V11.3": 3, "V11.4": 4, "V11.5": 1, "V11.6": 1,
	"V12.1": 3, "V12.2": 2, "V12.3": 4,
	"V13.1": 1, "V13.2": 5, "V13.3": 2, "V13.4": 5,
	"V14.1": 2, "V14.2": 4, "V14.3": 3,
	"V15.1": 3, "V15.2": 3, "V15.3": 7,
	"V16.1": 1, "V16.2": 5, "V16.3": 4, "V16.4": 3, "V16.5": 3,
	"V17.1": 1, "V17.2": 4, "V17.3": 2,
}

// docs/asvs.md judges each requirement once, and what is met names a test that exists.
func TestASVS(t *testing.T) {
	page := text(t, "docs/asvs.md")
	wanted := map[string]bool{}
	for section, n := range asvs {
		for i := range n {
			wanted[fmt.Sprintf("%s.%d", section, i+1)] = true
		}
	}
	if len(wanted) != 253 {
		t.Errorf("%d requirements are listed in the test, and ASVS 5.0.0 has 253", len(wanted))
	}
	rows, rest, _ := strings.Cut(page, "## What does not apply")
	judged := map[string]int{}
	for line := range strings.Lines(rows) {
		cells := strings.Split(line, " | ")
		id, ok := strings.CutPrefix(cells[0], "| V")
		if !ok {
			continue
		}
		id = "V" + id
		judged[id]++
		if len(cells) != 4 {
			t.Errorf("%s has %d cells", id, len(cells))
			continue
		}
		switch cells[2] {
		case "met":
			if !namesTests(t, id, cells[3]) {
				t.Errorf("%s is met, and names no test", id)
			}
		case "partly", "no", "operator":
			namesTests(t, id, cells[3])
		default:
			t.Errorf("%s is %q", id, cells[2])
		}
	}
	for _, id := range regexp.MustCompile(`V\d+\.\d+\.\d+`).FindAllString(rest, -1) {
		judged[id]++
	}
	for id := range wanted {
		if judged[id] != 1 {
			t.Errorf("%s is judged %d times", id, judged[id])
		}
	}
	for id := range judged {
		if !wanted[id] {
			t.Errorf("%s is no requirement of the levels 1 and 2", id)
		}
	}
}

// evidence is a file, and the tests in it that follow.
var evidence = regexp.MustCompile("`([a-z0-9_/.]+_test\\.go)`((?:(?: and|,)? (?:Test|Fuzz)\\w+)*)")

// namesTests tells if proof names a test. It checks that each one it names is there.
func namesTests(t *testing.T, id, proof string) bool {
	t.Helper()
	found := evidence.FindAllStringSubmatch(proof, -1)
	for _, f := range found {
		source, err := os.ReadFile(f[1])
		if err != nil {
			t.Errorf("%s: %v", id, err)
			continue
		}
		names := regexp.MustCompile(`(?:Test|Fuzz)\w+`).FindAllString(f[2], -1)
		if len(names) == 0 {
			t.Errorf("%s names no test of %s", id, f[1])
		}
		for _, name := range names {
			if !strings.Contains(string(source), "func "+name+"(") {
				t.Errorf("%s: %s has no %s", id, f[1], name)
			}
		}
	}
	return len(found) > 0
}

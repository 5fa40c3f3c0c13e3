package inspector

import (
	"flag"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/inspect/rulebook"
)

// The file is small enough to be kept, mailed and read.
func TestSize(t *testing.T) {
	const most = 150_000
	if n := len(HTML()); n > most {
		t.Errorf("the inspector has %d bytes, want at most %d", n, most)
	}
}

var update = flag.Bool("update", false, "write the hash into docs/inspector.md")

// docs/inspector.md has the hash of the file.
func TestHash(t *testing.T) {
	const path, begin, end = "../../docs/inspector.md", "```text\nSHA-256 ", "\n```"
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(data), begin)
	hash, after, ended := strings.Cut(rest, end)
	switch {
	case !found || !ended:
		t.Fatalf("%s has no hash", path)
	case *update:
		err = os.WriteFile(path, []byte(before+begin+Hash()+end+after), 0o644)
	case hash != Hash():
		t.Errorf("%s has the hash %s, and the file %s: go test ./inspect/inspector -run TestHash -update", path, hash, Hash())
	}
	if err != nil {
		t.Error(err)
	}
}

// The policy in the file names the only script and the only style, by the bytes that a browser
// hashes: what is between the tags.
func TestPolicy(t *testing.T) {
	html := string(HTML())
	between := func(begin, end string) string {
		_, rest, found := strings.Cut(html, begin)
		text, rest, ended := strings.Cut(rest, end)
		if !found || !ended || strings.Contains(rest, begin) {
			t.Fatalf("want %s once", begin)
		}
		return text
	}
	want := "default-src 'none'; script-src " + source(between("<script>", "</script>")) + "; style-src " + source(between("<style>", "</style>")) +
		"; connect-src 'none'; form-action 'none'; base-uri 'none'"
	if meta := `<meta http-equiv="Content-Security-Policy" content="` + want + `">`; !strings.Contains(html, meta) {
		t.Errorf("the file lacks %s", meta)
	}
	if got := Policy(); got != want+"; frame-ancestors 'none'; sandbox allow-scripts" {
		t.Errorf("Policy() = %s", got)
	}
	if strings.Contains(html, "{{") {
		t.Error("a place in page.html is not filled")
	}
	for _, text := range []string{"<!--", "<script", "</script", "</style"} { // would end the element, or change how it is read
		if strings.Contains(script(), text) || strings.Contains(read("style.css"), text) {
			t.Errorf("a part contains %s", text)
		}
	}
}

// leaves is what could send something away, keep it, or take text for HTML or for code. The first
// part rests on the code alone, because no policy forbids it. The policy forbids most of the
// rest as well.
var leaves = regexp.MustCompile(`(?i)` + strings.Join([]string{
	`location\s*=`, `location\.(href|assign|replace|reload|search\s*=|hash\s*=)`, `\bnavigation\b`, `navigate`, `\.submit\b`, `requestSubmit`, `<form`, `<a\b`, `"a"`, `\bhref\b`, `<link`, `"link"`,
	`\bopen\(`, `window\.open`, `RTC\w*`, `preconnect`, `prefetch`, `prerender`, `speculation`, `\bping\b`, `http-equiv="?refresh`,
	`fetch`, `XMLHttp`, `WebSocket`, `EventSource`, `WebTransport`, `sendBeacon`, `\bimport\b`, `Worker`, `\bsrc\b`, `srcset`, `\bimage\b`, `\burl\(`, `@import`, `@font-face`, `<iframe`, `"iframe"`, `<img`, `<object`, `<embed`,
	`postMessage`, `BroadcastChannel`, `Storage\b`, `indexedDB`, `\bcaches\b`, `cookie\s*=`, `document\.cookie`, `window\.name`, `pushState`, `clipboard`, `execCommand`,
	`innerHTML`, `outerHTML`, `insertAdjacent`, `document\.write`, `parseFromString`, `createContextualFragment`, `setHTML`, `DOMParser`, `srcdoc`,
	`\beval\b`, `\bFunction\(`, `setTimeout`, `javascript:`, `\son\w+=`, `dangerously`,
}, "|"))

// Nothing of the page leaves it by code. docs/inspector.md says what the browser forbids, and what
// rests on this.
func TestNothingLeaves(t *testing.T) {
	before, words, _ := strings.Cut(read("page.html"), "<details>") // which speak of all this
	_, after, _ := strings.Cut(words, "</details>")
	parts := map[string]string{"page.html": before + after, "style.css": read("style.css")}
	for _, name := range scripts {
		parts[name+".js"] = read("script/" + name + ".js")
	}
	for name, text := range parts {
		for i, line := range strings.Split(text, "\n") {
			code, _, _ := strings.Cut(line, "// ")
			if found := leaves.FindString(code); found != "" {
				t.Errorf("%s:%d has %q: %s", name, i+1, found, line)
			}
		}
	}
	for _, example := range []string{`location = x`, `e.innerHTML = x`, `<a href="x">`, `new RTCPeerConnection()`, `fetch(x)`, `eval(x)`} {
		if !leaves.MatchString(example) {
			t.Errorf("%s would not be found", example)
		}
	}
}

// Each rule has its check in the script, and each check is for a rule.
func TestEveryRuleIsChecked(t *testing.T) {
	_, table, _ := strings.Cut(read("script/lint.js"), "const lintChecks = {\n")
	table, _, _ = strings.Cut(table, "\n};\n")
	var checks []string
	for _, m := range regexp.MustCompile(`(?m)^\t"([^"]+)": `).FindAllStringSubmatch(table, -1) {
		checks = append(checks, m[1])
	}
	var ids []string
	for _, r := range rulebook.Rules() {
		ids = append(ids, r.ID)
		if !slices.Contains(checks, r.ID) {
			t.Errorf("lint.js has no check for %q", r.ID)
		}
	}
	for i, id := range checks {
		if !slices.Contains(ids, id) || slices.Contains(checks[:i], id) {
			t.Errorf("lint.js has a check for %q, which is no rule or there twice", id)
		}
	}
}

// The order of the scripts names each file once.
func TestEveryScript(t *testing.T) {
	entries, err := files.ReadDir("script")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if name := strings.TrimSuffix(e.Name(), ".js"); !slices.Contains(scripts, name) {
			t.Errorf("%s is not in the page", e.Name())
		}
	}
	if len(entries) != len(scripts) {
		t.Errorf("%d files, want %d", len(entries), len(scripts))
	}
}

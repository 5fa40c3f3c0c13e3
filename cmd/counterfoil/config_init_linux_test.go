package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/internal/config"
)

// The file that config init writes has each setting once, changes nothing as it is, and shows the
// values that the settings have without it.
func TestConfigInit(t *testing.T) {
	var text bytes.Buffer
	writeSample(&text)
	var defaults, loaded, shown settings
	if _, err := defaults.load(config.Sources{}); err != nil {
		t.Fatal(err)
	}
	where, err := loaded.load(config.Sources{File: file(t, "c.yaml", text.String())})
	if err != nil {
		t.Fatal(err)
	}
	for key, origin := range where {
		if origin != config.Default {
			t.Errorf("%s comes from %s", key, origin)
		}
	}
	setting := regexp.MustCompile(`(?m)^#([a-z_]+): (.*)$`)
	var active []string
	named := map[string]int{}
	for _, m := range setting.FindAllStringSubmatch(text.String(), -1) {
		named[strings.TrimSuffix(m[1], "_file")]++
		if !strings.Contains(m[2], "FILE") && strings.ToUpper(m[2]) != m[2] || regexp.MustCompile(`^(true|false|[0-9a-z:.]+|ES256)$`).MatchString(m[2]) {
			active = append(active, m[1]+": "+m[2])
		}
	}
	if _, err := shown.load(config.Sources{File: file(t, "shown.yaml", strings.Join(active, "\n"))}); err != nil {
		t.Fatalf("the defaults that it shows cannot be read: %v", err)
	}
	if len(active) < 15 {
		t.Errorf("it shows %d defaults: %v", len(active), active)
	}
	after := shown.loader().All()
	for n, s := range defaults.loader().All() {
		if named[s.Key()] != 1 {
			t.Errorf("%s is there %d times", s.Key(), named[s.Key()])
		}
		if s.Text() != after[n].Text() {
			t.Errorf("it shows %s: %s, and the default is %s", s.Key(), after[n].Text(), s.Text())
		}
	}
	for line := range strings.Lines(text.String()) {
		if len(line) > 92 || strings.TrimSpace(line) != "" && !strings.HasPrefix(line, "#") {
			t.Errorf("a line that is long or no comment: %s", line)
		}
	}
	for _, want := range []string{"A duration from 10s to 15m. Default: 5m.\n#access_ttl: 5m\n", "#trusted_proxies: [", "#ops_token_file: FILE\n", "COUNTERFOIL_OPS_TOKEN", "#production: false\n"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("it lacks %q", want)
		}
	}
}

// The file passes doctor, is never written over another, and fits the program that wrote it.
func TestConfigInitPassesDoctor(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	path := filepath.Join(t.TempDir(), "config.yaml")
	s.run("", 0, "config", "init", path)
	if _, errs := s.run("", 1, "config", "init", path); !strings.Contains(errs, "is there already, and nothing was written") {
		t.Errorf("a second config init: %s", errs)
	}
	s.run("", 0, "config", "check", "--config", path)
	if out, _ := s.run("", 0, "doctor", "--config", path); !strings.Contains(out, "ok    config") || strings.Contains(out, "fail") {
		t.Errorf("doctor: %s", out)
	}
	out, _ := s.run("", 0, "config", "init")
	if written, err := os.ReadFile(path); err != nil || string(written) != out {
		t.Errorf("the file and standard output differ: %v", err)
	}
}

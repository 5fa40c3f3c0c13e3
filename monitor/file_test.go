package monitor_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/config"
	"github.com/counterfoil/counterfoil/monitor"
)

// write writes a file that a file of checks names.
func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestParse(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "token", "Bearer s3cret\n")
	write(t, dir, "push.id", "0123456789abcdef0123456789abcdef\n")
	write(t, dir, "password", "correct horse battery staple\n")
	f, err := monitor.Parse(filepath.Join(dir, "monitor.yaml"), []byte(`
x-usual: &usual {every: 30s, timeout: 5s}
inside: [127.0.0.1, 10.0.0.0/8]
checks:
  - name: shop
    title: The shop
    http: https://shop.example.com/health
    every: 30s
    method: POST
    headers: {Accept: application/json}
    headers_file: {Authorization: token}
    body: '{}'
    expect: {status: [200, 204], body_contains: ok, json: {/status: up, /n: 1, "": {a: [1, null]}}, latency: 800ms, certificate_days: 14}
    down: {failures: 3, of: 5}
    remind: 4h
    public: true
  - {name: db, tcp: 'db.example.com:5432'}
  - {name: mail, tls: 'mail.example.com:465', expect: {certificate_days: 7}}
  - {name: backup, push: push.id, every: 24h, grace: 1h}
  - name: sign-in
    journey: https://auth.example.com
    user: monitor
    password_file: password
    carriers: [cookie, bearer]
    targets: [{name: shop, url: 'https://shop.example.com/me'}, {name: slow, url: 'https://slow.example.com/me', bound: 30s}]
maintenance:
  - {name: backup, checks: [db], weekly: Sun 02:00, for: 1h, zone: Europe/Berlin}
`))
	if err != nil {
		t.Fatal(err)
	}
	shop, backup, journey := f.Checks[0], f.Checks[3], f.Checks[4]
	if shop.Down != (monitor.Threshold{Failures: 3, Of: 5}) || shop.Up != 2 || shop.Every != 30*time.Second || shop.Timeout != 10*time.Second || shop.Request.Headers.Get("Authorization") != "Bearer s3cret" || len(shop.Expect.JSON) != 3 || shop.Expect.JSON[""] != `{"a":[1,null]}` {
		t.Errorf("shop: %+v", shop)
	}
	if backup.Down.Failures != 1 || backup.Up != 1 || backup.Grace != time.Hour || backup.PushID.Reveal() == "" {
		t.Errorf("backup: %+v", backup)
	}
	if journey.Timeout != 45*time.Second || journey.Sign.Bound != 10*time.Second || journey.Sign.Targets[1].Bound != 30*time.Second {
		t.Errorf("journey: %+v", journey)
	}
	if w := f.Maintenance[0]; w.Weekday != time.Sunday || w.Clock != 2*time.Hour || w.Zone.String() != "Europe/Berlin" {
		t.Errorf("maintenance: %+v", w)
	}
}

// What is wrong is refused, with its line and what to do.
func TestParseRefuses(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "short", "abc\n")
	write(t, dir, "open", "0123456789abcdef0123456789abcdef\n")
	if err := os.Chmod(filepath.Join(dir, "open"), 0o644); err != nil {
		t.Fatal(err)
	}
	const check = "checks:\n- name: web\n  http: http://example.com\n"
	for text, want := range map[string]string{
		"":                                                    "is empty",
		"checks: []":                                          "lists no checks",
		"checks: {a: 1":                                       "did not find",
		check + "---\n" + check:                               "more than one YAML document",
		"check:\n- name: a\n":                                 `:1: the file has no member "check"` + "\nhint: did you mean checks?",
		check + "  intervall: 5s\n":                           `:4: a check has no member "intervall"`,
		check + "  evry: 5s\n":                                "did you mean every?",
		check + "  every: 5s\n":                               ":4: want a duration from 10s to 24h, such as 1m",
		check + "  every: 25h\n":                              ":4: want a duration from 10s to 24h",
		check + "  every: 10s\n  timeout: 11s\n":              "may take longer",
		check + "  name: shop\n":                              ":4: name is there twice",
		check + "  tcp: example.com:1\n":                      "looks at two things: http and tcp",
		check + "  grace: 1m\n":                               `has no member "grace"`,
		check + "  channels: {a: b}\n":                        "want a list",
		check + "  headers: {Content-Length: 5}\n":            "is no header of a check",
		check + "  headers: {a: 1, A: 2}\n":                   "is there twice",
		check + "  headers_file: {Authorization: none}\n":     "cannot be read",
		check + "  expect: {status: 99}\n":                    "want a number from 100 to 599",
		check + "  expect: {json: {status: 1}}\n":             "does not begin with /",
		check + "  expect: {json: {/a~2: 1}}\n":               "~ is written ~0",
		check + "  expect: {body: x}\n":                       `expect has no member "body"`,
		check + "  down: {failures: 3, of: 2}\n":              "of which is not less",
		check + "  method: get\n":                             "is no method",
		check + "  tls_options: {cert: a}\n":                  "go together",
		check + "- name: web\n  tcp: a:1\n":                   "two checks with the name web",
		"checks:\n- name: Web\n  tcp: a:1\n":                  `:2: "Web" is no name`,
		"checks:\n- tcp: a:1\n":                               "has no name",
		"checks:\n- name: a\n":                                "does not say what it looks at",
		"checks:\n- name: a\n  http: ftp://a\n":               ":3: want a URL",
		"checks:\n- name: a\n  http: https://u:p@a\n":         "has a user or a password",
		"checks:\n- name: a\n  tcp: a\n":                      "want a host and a port",
		"checks:\n- name: a\n  tcp: a:0\n":                    "want a host and a port",
		"checks:\n- name: a\n  push: short\n":                 "openssl rand -hex 16",
		"checks:\n- name: a\n  push: open\n":                  "other users",
		"checks:\n- name: a\n  push: open\n  timeout: 5s\n":   `has no member "timeout"`,
		"checks:\n- name: a\n  journey: https://a\n":          "want user, password_file and targets",
		"checks:\n- {name: a, http: 'http://127.0.0.1:80'}\n": ":2: the address 127.0.0.1 is inside, and not listed under inside\nhint: inside: [127.0.0.1]",
		"inside: [10.0.0.0/8]\nchecks:\n- {name: a, tcp: '[::ffff:192.168.0.1]:80'}\n":            "is inside, and not listed",
		"inside: [169.254.0.0/16]\nchecks:\n- {name: a, tcp: '169.254.169.254:80'}\n":             "no check may reach",
		"checks:\n- {name: a, http: 'http://2130706433/'}\n":                                      "is no host",
		"inside: [10.0.0.1/8]\nchecks:\n- {name: a, tcp: '10.0.0.1:80'}\n":                        "is no network",
		check + "maintenance:\n- {name: w, for: 1h}\n":                                            "want once or weekly",
		check + "maintenance:\n- {name: w, weekly: Sun 02:00, zone: UTC}\n":                       "want for",
		check + "maintenance:\n- {name: w, weekly: Sun 02:00, for: 1h}\n":                         "want zone",
		check + "maintenance:\n- {name: w, weekly: Sunday 2, for: 1h, zone: UTC}\n":               ":5: want a day and a time",
		check + "maintenance:\n- {name: w, weekly: Sun 02:00, for: 1h, zone: CEST}\n":             "is no time zone",
		check + "maintenance:\n- {name: w, once: '2026-01-01', for: 1h}\n":                        "with its offset",
		check + "maintenance:\n- {name: w, once: 2026-01-01T00:00:00Z, for: 1h, checks: [wep]}\n": `names the check "wep", which there is not` + "\nhint: did you mean web?",
	} {
		_, err := monitor.Parse(filepath.Join(dir, "monitor.yaml"), []byte(text))
		if _, is := errors.AsType[config.Invalid](err); !is || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("checks: [{name: a, http: 'http://a', expect: {json: {/a/0: [1, {b: c}]}}}]\nmaintenance: [{name: w, weekly: Sun 02:00, for: 1h, zone: UTC}]"))
	f.Add([]byte("a: &a [*a]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := monitor.Parse("monitor.yaml", data)
		if (file == nil) == (err == nil) {
			t.Errorf("%v, %v", file, err)
		}
	})
}

// The example is read, and what it merges is there.
func TestExample(t *testing.T) {
	f, err := monitor.Read("../deploy/monitor/monitor.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range f.Checks {
		if c.Remind != 4*time.Hour {
			t.Errorf("%s: %+v", c.Name, c)
		}
	}
}

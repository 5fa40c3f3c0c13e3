package main

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/store/memory"
)

var write = flag.Bool("write", false, "write the generated tables of docs/operations.md instead of comparing them")

func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSourcesInOrder(t *testing.T) {
	path := file(t, "c.yaml", "idle: 2h\nabsolute: 30h\naccess_ttl: 1m\naudience: [a, b]\nproduction: yes\n")
	if _, err := new(config).load(outside{file: path}); err == nil || !strings.Contains(err.Error(), "c.yaml:5: production is \"yes\": want true or false") {
		t.Errorf("load = %v, want the line of the bad value", err)
	}
	path = file(t, "c.yaml", "idle: 2h\nabsolute: 30h\naccess_ttl: 1m\naudience: [a, b]\n")
	c := config{AccessTTL: 3 * time.Minute}
	where, err := c.load(outside{
		given: given{"access-ttl": true}, file: path,
		environ: []string{"COUNTERFOIL_IDLE=3h", "COUNTERFOIL_ABSOLUTE=", "HOME=/x", "COUNTERFOIL_PORT_8080_TCP=tcp://10.0.0.1:8080"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"access_ttl": "flag --access-ttl", "idle": "COUNTERFOIL_IDLE", "absolute": path + ":2", "audience": path + ":4", "grace": "", "listen": "default",
	} {
		if where[key] != want {
			t.Errorf("origin of %s = %q, want %q", key, where[key], want)
		}
	}
	if c.AccessTTL != 3*time.Minute || c.Idle != 3*time.Hour || c.Absolute != 30*time.Hour || len(c.Audience) != 2 || c.Listen != "127.0.0.1:8080" {
		t.Errorf("loaded %+v", c)
	}
}

func TestRefusedFiles(t *testing.T) { // OPS-12
	for text, want := range map[string]string{
		"isuer: x":                           `c.yaml:1: unknown key "isuer"` + "\nhint: did you mean issuer?",
		"idle: 1h\nidle: 2h":                 "c.yaml:2: idle is set twice, first at ",
		"idle: soon":                         `c.yaml:1: idle is "soon": want a duration such as 10s, 5m or 24h`,
		"idle: 90":                           `c.yaml:1: idle is "90": want a duration`,
		"idle:":                              "c.yaml:1: idle wants one plain value",
		"idle: {a: b}":                       "c.yaml:1: idle wants one plain value",
		"audience: {a: b}":                   "c.yaml:1: audience wants a list of plain values",
		"- idle":                             "c.yaml:1: want lines of the form key: value",
		"idle: 1h\n---\nidle: 2h":            "more than one YAML document",
		"\n\nidle: [":                        "c.yaml:3: ",
		"a: &a x\nissuer: *a":                "c.yaml:2: issuer wants one plain value",
		"ops_token: abc":                     `c.yaml:1: unknown key "ops_token"`,
		"ops_token_file: /no/such/file":      "c.yaml:1: ops_token cannot be read: ",
		"connections_per_address: -1":        `c.yaml:1: connections_per_address is "-1": want a number`,
		"Idle: 1h":                           `c.yaml:1: unknown key "Idle"`,
		"registration: true\nproduction: 1 ": `c.yaml:2: production is "1": want true or false`,
	} {
		_, err := new(config).load(outside{file: file(t, "c.yaml", text)})
		var invalid configError
		if !errors.As(err, &invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: load = %v, want %q", text, err, want)
		}
	}
	for _, text := range []string{"", "\n", "# nothing\n"} {
		if _, err := new(config).load(outside{file: file(t, "c.yaml", text)}); err != nil {
			t.Errorf("%q: load = %v", text, err)
		}
	}
	if _, err := new(config).load(outside{environ: []string{"COUNTERFOIL_ISSUR=x"}}); err == nil || err.Error() != "COUNTERFOIL_ISSUR: is not a setting\nhint: did you mean COUNTERFOIL_ISSUER?" {
		t.Errorf("unknown variable: %v", err)
	}
}

func TestRules(t *testing.T) { // OPS-12, SES-07, OPS-07
	proxied := "issuer: https://auth.example.com\ntrusted_proxies: 10.0.0.0/8\n"
	for text, want := range map[string]string{
		"listen: localhost:http":                                 "want an IP address and a port",
		"algorithm: none":                                        "want ES256, ES384, Ed25519, RS256, PS256 or HS256",
		"trusted_proxies: [example.com]":                         "want a network such as",
		"issuer: http://auth.example.com":                        "is plain http to another machine",
		"listen: 0.0.0.0:80\nissuer: http://127.0.0.1":           "is not a loopback address",
		"listen: 0.0.0.0:80":                                     "issuer is not set",
		"issuer: https://a.test/":                                "ends with a slash",
		"issuer: https://u:p@a.test":                             "has a user name or a password in it",
		"issuer: ftp://a.test":                                   "is neither https nor http",
		"ops_listen: 0.0.0.0:9464":                               "ops_token is not set",
		"tls_cert: x.pem":                                        "go together",
		"tls_cert: x.pem\ntls_key: y.pem":                        "cannot be used",
		"production: true":                                       "issuer is not set, which production mode refuses",
		"production: true\nissuer: http://127.0.0.1:8080":        "which production mode refuses",
		"production: true\ntrusted_proxies: 0.0.0.0/0":           "everybody can claim any address",
		"production: true\n" + proxied + "trusted_proxies: ::/0": "is set twice",
	} {
		var c config
		where, err := c.load(outside{file: file(t, "c.yaml", text)})
		if err == nil {
			err = configError(c.check(where).problems)
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	var c config
	where, err := c.load(outside{file: file(t, "c.yaml", "production: true\n"+proxied)})
	if v := c.check(where); err != nil || len(v.problems)+len(v.warnings) > 0 {
		t.Errorf("a good production configuration: %v, %+v", err, v)
	}
	for _, environ := range [][]string{
		{"COUNTERFOIL_HMAC_SECRET=changeme", "COUNTERFOIL_ALGORITHM=HS256"}, {"COUNTERFOIL_HMAC_SECRET=Zq8vT1mWkY3xR7nB5cJ2hL9sD4fG6pA0uE-iO_yQwXtV"},
	} { // KEY-02, TOK-03
		where, err := c.load(outside{environ: environ})
		if v := c.check(where); err != nil || !strings.HasPrefix(configError(v.problems).Error(), "COUNTERFOIL_HMAC_SECRET: hmac_secret ") {
			t.Errorf("%v: %v, %+v", environ, err, v)
		}
	}
	where, err = c.load(outside{environ: []string{"COUNTERFOIL_OPS_TOKEN=short"}})
	if v := c.check(where); err != nil || !strings.Contains(configError(v.problems).Error(), "fewer than 32") || strings.Contains(configError(v.problems).Error(), "short\"") {
		t.Errorf("a short token: %v, %+v", err, v)
	}
}

// The bounds that the settings name are those that the issuer holds.
func TestBoundsAreTheIssuers(t *testing.T) {
	set := map[string]func(*issuer.Options, time.Duration){
		"access_ttl":    func(o *issuer.Options, d time.Duration) { o.AccessTTL = d },
		"idle":          func(o *issuer.Options, d time.Duration) { o.Idle = d },
		"absolute":      func(o *issuer.Options, d time.Duration) { o.Absolute = d },
		"refresh_grace": func(o *issuer.Options, d time.Duration) { o.Grace = d },
		"max_bound":     func(o *issuer.Options, d time.Duration) { o.MaxBound = d },
	}
	s := memory.New()
	keys, err := keyring.Open(t.Context(), keyring.Options{Store: s, SealKey: [32]byte{1}})
	if err != nil {
		t.Fatal(err)
	}
	for _, setting := range new(config).settings() {
		apply, ok := set[setting.key()]
		if !ok {
			continue
		}
		delete(set, setting.key())
		least, _ := time.ParseDuration(setting.field.Tag.Get("min"))
		most, _ := time.ParseDuration(setting.field.Tag.Get("max"))
		for d, good := range map[time.Duration]bool{least: true, most: true, least - 1: false, most + 1: false} {
			o := issuer.Options{Store: s, Keys: keys, URL: "https://a.test"}
			apply(&o, d)
			if _, err := issuer.New(context.Background(), o); (err == nil) != good {
				t.Errorf("%s %v: issuer says %v", setting.key(), d, err)
			}
		}
	}
	if len(set) > 0 {
		t.Errorf("not among the settings: %v", set)
	}
}

const operations = "../../docs/operations.md"

// The table of settings in the documentation is the one that the program has.
func TestSettingsAreDocumented(t *testing.T) {
	var table strings.Builder
	table.WriteString("| key | default | |\n|---|---|---|\n")
	for _, s := range new(config).settings() {
		name, help := "`"+s.key()+"`", s.field.Tag.Get("help")
		if s.secret() {
			name = "`" + s.key() + "_file`, `" + s.env() + "`, `" + s.env() + "_FILE`"
		}
		if least := s.field.Tag.Get("min"); least != "" {
			help += " " + least + " to " + s.field.Tag.Get("max") + "."
		}
		table.WriteString("| " + name + " | " + s.field.Tag.Get("default") + " | " + help + " |\n")
	}
	data, err := os.ReadFile(operations)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(data), "-write -->\n")
	_, after, ended := strings.Cut(rest, "<!-- end of settings -->")
	if !found || !ended {
		t.Fatal("docs/operations.md has lost its markers")
	}
	want := before + "-write -->\n" + table.String() + "<!-- end of settings -->" + after
	if *write {
		if err := os.WriteFile(operations, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if string(data) != want {
		t.Error("the table of settings in docs/operations.md is not what the program has: run go test ./cmd/counterfoil -run Documented -write")
	}
}

// Each metric of the program is in the documentation's table.
func TestMetricsAreDocumented(t *testing.T) {
	data, err := os.ReadFile(operations)
	if err != nil {
		t.Fatal(err)
	}
	_, h := newOps(t, "", false)
	for line := range strings.Lines(ask(h, "/metrics").Body.String()) {
		name, isType := strings.CutPrefix(line, "# TYPE ")
		name, _, _ = strings.Cut(name, " ")
		if isType && strings.HasPrefix(name, "counterfoil_") && !strings.Contains(string(data), "`"+name+"`") {
			t.Errorf("%s is not in docs/operations.md", name)
		}
	}
}

// Each command is in the documentation's table.
func TestCommandsAreDocumented(t *testing.T) {
	data, err := os.ReadFile(operations)
	if err != nil {
		t.Fatal(err)
	}
	parser, err := kong.New(&program{})
	if err != nil {
		t.Fatal(err)
	}
	for _, leaf := range parser.Model.Leaves(true) {
		name, _, _ := strings.Cut(strings.TrimPrefix(leaf.FullPath(), parser.Model.Name+" "), " <")
		if !strings.Contains(string(data), "`"+name) {
			t.Errorf("%s is not in docs/operations.md", name)
		}
	}
}

package main

import (
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"github.com/counterfoil/counterfoil/internal/config"
	"github.com/counterfoil/counterfoil/server"
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

// An issuer that browsers spell otherwise is refused, and the hint has their spelling. So is one
// whose path is asked for at the root of a host.
func TestIssuerHint(t *testing.T) {
	for issuer, want := range map[string]string{
		"https://Auth.Example.com":               "write https://auth.example.com",
		"https://auth.example.com:443":           "write https://auth.example.com",
		"https://auth.example.com.":              "write https://auth.example.com",
		"http://127.0.0.1:80":                    "write http://127.0.0.1",
		"https://bücher.example":                 "write https://xn--bcher-kva.example",
		"https://BÜCHER.example:8443":            "write https://xn--bcher-kva.example:8443",
		"https://bücher.example:443/":            "write https://xn--bcher-kva.example",
		"https://u:canary@bücher.test/a":         "write https://xn--bcher-kva.test/a",
		"https://b%C3%BCcher.example":            "write https://xn--bcher-kva.example",
		"https://例え.テスト/認証":                      "write https://xn--r8jz45g.xn--zckzah",
		"https://a\u202eb.example":               "write the host as browsers send it",
		"https://auth.example.com/healthz":       "write another, such as https://auth.example.com/auth",
		"https://auth.example.com/.well-known/x": "write another, such as https://auth.example.com/auth",
	} {
		c := settings{Issuer: issuer}
		v := &config.Verdict{}
		c.checkIssuer(v)
		if len(v.Problems) != 1 || !strings.HasPrefix(v.Problems[0].Hint, want) || strings.Contains(v.Problems[0].Problem+v.Problems[0].Hint, "canary") {
			t.Errorf("%s: %+v, want the hint %q", issuer, v.Problems, want)
		}
	}
	c, v := settings{Issuer: "https://example.com/auth"}, &config.Verdict{}
	if c.checkIssuer(v); len(v.Problems) > 0 {
		t.Errorf("below a path: %+v", v.Problems)
	}
}

func TestRules(t *testing.T) { // OPS-12, SES-07, OPS-07, OPS-10
	proxied := "issuer: https://auth.example.com\ntrusted_proxies: 10.0.0.0/8\n"
	for text, want := range map[string]string{
		"listen: localhost:http":                                             "want an IP address and a port",
		"algorithm: none":                                                    "want ES256, ES384, Ed25519, RS256, PS256 or HS256",
		"trusted_proxies: [example.com]":                                     "want a network such as",
		"logins_per_second: 10001":                                           "want 0 to 10000",
		"issuer: http://auth.example.com":                                    "is plain http to another machine",
		"listen: 0.0.0.0:80\nissuer: http://127.0.0.1":                       "is not a loopback address",
		"listen: 0.0.0.0:80":                                                 "issuer is not set",
		"issuer: https://a.test/":                                            "ends with a slash",
		"issuer: https://u:p@a.test":                                         "has a user name or a password in it",
		"issuer: ftp://a.test":                                               "is neither https nor http",
		"hosts: [auth.internal, Auth.internal:443]":                          `hosts is "Auth.internal:443", which is not a host name in lower case, without a port`,
		"hosts: bücher.example":                                              "hint: write xn--bcher-kva.example",
		"mail: mail.example.com":                                             "mail is neither smtp://user@host:587 nor smtps://user@host:465",
		"mail: smtp://u:p@a.test":                                            "has a password in it",
		"mail: smtp://a.test":                                                "mail_from is not set, and mail is",
		"mail_from: 'a@b.test, c@d.test'":                                    "want an address, or a name and <address>",
		"mail: smtp://u@a.test\nmail_from: a@b.test":                         "mail_password is not set, and mail names a user",
		"mail: smtp://a.test\nmail_from: a@b.test\nmail_root_cas: /none.pem": "mail_root_cas",
		"production: true\n" + proxied + "mail: log\nmail_from: a@b.test":    "mail is log: mails are not sent",
		"production: true\n" + proxied + "mail: smtp://a.test\nmail_from: a@b.test\nmail_insecure_plaintext: true": "which production mode refuses",
		"ops_listen: 0.0.0.0:9464":                               "ops_token is not set",
		"tls_cert: x.pem":                                        "go together",
		"tls_cert: x.pem\ntls_key: y.pem":                        "cannot be used",
		"production: true":                                       "issuer is not set, which production mode refuses",
		"production: true\nissuer: http://127.0.0.1:8080":        "which production mode refuses",
		"production: true\ntrusted_proxies: 0.0.0.0/0":           "everybody can claim any address",
		"production: true\n" + proxied + "trusted_proxies: ::/0": "is set twice",
	} {
		var c settings
		where, err := c.load(config.Sources{File: file(t, "c.yaml", text)})
		if err == nil {
			err = c.check(where).Err()
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	// What goes to this machine is read by nobody on the way.
	var local settings
	where, err := local.load(config.Sources{File: file(t, "c.yaml", "production: true\n"+proxied+"mail: smtp://127.0.0.1:25\nmail_from: a@b.test\nmail_insecure_plaintext: true\n")})
	if v := local.check(where); err != nil || len(v.Problems)+len(v.Warnings) > 0 {
		t.Errorf("a mail server on this machine: %v, %+v", err, v)
	}
	var c settings
	where, err = c.load(config.Sources{File: file(t, "c.yaml", "production: true\n"+proxied)})
	if v := c.check(where); err != nil || len(v.Problems)+len(v.Warnings) > 0 {
		t.Errorf("a good production configuration: %v, %+v", err, v)
	}
	where, err = c.load(config.Sources{Environ: []string{"COUNTERFOIL_HMAC_SECRET=changeme", "COUNTERFOIL_ALGORITHM=HS256"}}) // KEY-02
	if v := c.check(where); err != nil || !strings.HasPrefix(v.Err().Error(), "COUNTERFOIL_HMAC_SECRET: hmac_secret ") {
		t.Errorf("a weak secret: %v, %+v", err, v)
	}
	// TOK-03: the secret of another algorithm is used for nothing.
	where, err = c.load(config.Sources{Environ: []string{"COUNTERFOIL_HMAC_SECRET=Zq8vT1mWkY3xR7nB5cJ2hL9sD4fG6pA0uE-iO_yQwXtV"}})
	if v := c.check(where); err != nil || v.Err() != nil || !slices.ContainsFunc(v.Warnings, func(p config.Problem) bool { return p.Key == "hmac_secret" }) {
		t.Errorf("a secret of another algorithm: %v, %+v", err, v)
	}
	if how := c.assembly(server.Config{}); how.HMACSecret != nil {
		t.Error("a secret of another algorithm is enabled")
	}
	for algorithm, warnings := range map[string]int{"Ed25519": 1, "ES256": 0} {
		var c settings
		where, err := c.load(config.Sources{File: file(t, "c.yaml", "production: true\nalgorithm: "+algorithm+"\n"+proxied)})
		if v := c.check(where); err != nil || v.Err() != nil || len(v.Warnings) != warnings || warnings > 0 && !strings.Contains(v.Warnings[0].Problem, "12 of 15") {
			t.Errorf("%s: %v, %+v, want %d warnings", algorithm, err, v, warnings)
		}
	}
	// Who can make files in the folder of the socket can be Redis.
	open := t.TempDir()
	if err := os.Chmod(open, 0o777|fs.ModeSticky); err != nil {
		t.Fatal(err)
	}
	for folder, warnings := range map[string]int{open: 1, t.TempDir(): 0} {
		var c settings
		where, err := c.load(config.Sources{Environ: []string{"COUNTERFOIL_SESSIONS=unix://" + folder + "/redis.sock"}})
		if v := c.check(where); err != nil || v.Err() != nil || len(v.Warnings) != warnings || warnings > 0 && v.Warnings[0].Key != "sessions" {
			t.Errorf("a socket in %s: %v, %+v, want %d warnings", folder, err, v, warnings)
		}
	}
	where, err = c.load(config.Sources{Environ: []string{"COUNTERFOIL_OPS_TOKEN=short"}})
	if v := c.check(where); err != nil || !strings.Contains(v.Err().Error(), "fewer than 32") || strings.Contains(v.Err().Error(), "short\"") {
		t.Errorf("a short token: %v, %+v", err, v)
	}
}

// The bounds in the tags of settings are the bounds of the server.
func TestBoundsAreTheServers(t *testing.T) {
	set := map[string]func(*server.Config, time.Duration){
		"access_ttl":    func(c *server.Config, d time.Duration) { c.AccessTTL = d },
		"idle":          func(c *server.Config, d time.Duration) { c.Idle = d },
		"refresh_idle":  func(c *server.Config, d time.Duration) { c.RefreshIdle = d },
		"absolute":      func(c *server.Config, d time.Duration) { c.Absolute = d },
		"refresh_grace": func(c *server.Config, d time.Duration) { c.Grace = d },
		"max_bound":     func(c *server.Config, d time.Duration) { c.MaxBound = d },
	}
	s := memory.New()
	for _, setting := range new(settings).loader().All() {
		apply, ok := set[setting.Key()]
		if !ok {
			continue
		}
		delete(set, setting.Key())
		least, most, _ := setting.Bounds()
		for d, good := range map[time.Duration]bool{least: true, most: true, least - 1: false, most + 1: false} {
			c := server.Config{Store: s, SealKey: [32]byte{1}, URL: "https://a.test", Offline: true, InsecureHashes: true}
			apply(&c, d)
			e, err := server.Open(t.Context(), c)
			if (err == nil) != good {
				t.Errorf("%s %v: server says %v", setting.Key(), d, err)
			}
			if err == nil {
				e.Close()
			}
		}
	}
	if len(set) > 0 {
		t.Errorf("not among the settings: %v", set)
	}
}

const operations = "../../docs/operations.md"

// The table of settings in the documentation is that of the program.
func TestSettingsAreDocumented(t *testing.T) {
	var table strings.Builder
	table.WriteString("| key | default | |\n|---|---|---|\n")
	for _, s := range new(settings).loader().All() {
		name, help := "`"+s.Key()+"`", s.Help()
		if s.Secret() {
			name = "`" + s.Key() + "_file`, `" + s.Env() + "`, `" + s.Env() + "_FILE`"
		}
		if least, most, limited := s.Bounds(); limited {
			help += " " + config.Duration(least) + " to " + config.Duration(most) + "."
		}
		table.WriteString("| " + name + " | " + s.Default() + " | " + help + " |\n")
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
	for _, name := range metricNames(t) {
		if !strings.Contains(string(data), "`"+name+"`") {
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

// A command that may open the stores can name both: with the wrong one it would revoke nothing.
func TestCommandsNameTheStores(t *testing.T) {
	parser, err := kong.New(&program{})
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, leaf := range parser.Model.Leaves(false) {
		flags := map[string]bool{}
		for _, group := range leaf.AllFlags(false) {
			for _, f := range group {
				flags[f.Name] = true
			}
		}
		if !flags["data"] {
			continue
		}
		if seen++; !flags["store"] || !flags["sessions"] {
			t.Errorf("%s has --data, and not --store and --sessions", leaf.FullPath())
		}
	}
	if seen < 20 {
		t.Errorf("%d commands have --data, want all that administer", seen)
	}
}

// OPS-11: the private key that PostgreSQL is shown, too, is of this user alone, wherever it is named.
func TestKeyForPostgresIsPrivate(t *testing.T) {
	path := file(t, "client.key", "a key")
	t.Setenv("HOME", filepath.Dir(path))
	for name, variable := range map[string]string{"postgres://h/d?sslkey=" + path: "", "postgres://h/d": path, "postgres:///d": ""} {
		t.Setenv("PGSSLKEY", variable)
		for mode, refused := range map[os.FileMode]bool{0o600: false, 0o640: true, 0o604: true} {
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
			var v config.Verdict
			checkPostgresFile(&v, "store", name, "sslkey", "PGSSLKEY", filepath.Base(path))
			if (v.Err() != nil) != refused {
				t.Errorf("%s, PGSSLKEY=%s, mode %o: %v", name, variable, mode, v.Err())
			}
		}
	}
}

// OPS-11: administrators see each setting with its origin, and no secret.
func TestShownSettings(t *testing.T) {
	var c settings
	where, err := c.load(config.Sources{Environ: []string{"COUNTERFOIL_HMAC_SECRET=Zq8vT1mWkY3xR7nB5cJ2hL9sD4fG6pA0uE-iO_yQwXtV", "COUNTERFOIL_IDLE=2h"}})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]server.Setting{}
	for _, s := range (&service{settings: &c, origins: where}).shown() {
		got[s.Key] = s
		if strings.Contains(s.Value, "Zq8v") || s.Origin == "" {
			t.Errorf("%+v", s)
		}
	}
	if got["idle"] != (server.Setting{Key: "idle", Value: "2h", Origin: "COUNTERFOIL_IDLE"}) || got["hmac_secret"].Value != "[secret]" || got["store"].Origin != config.Default {
		t.Errorf("%+v", got)
	}
}

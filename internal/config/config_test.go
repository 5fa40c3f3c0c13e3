package config_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/config"
	"github.com/counterfoil/counterfoil/internal/secret"
)

// shared is what two programs have in common.
type shared struct {
	Listen string        `name:"listen" default:"127.0.0.1:8080" want:"even"`
	Token  secret.String `name:"ops-token"`
}

type settings struct {
	shared
	Level    string        `name:"log-level" default:"info" oneof:"debug,info,warn"`
	Networks []string      `name:"networks" want:"even"`
	Secure   bool          `name:"secure"`
	Count    int           `name:"count" default:"7"`
	Idle     time.Duration `name:"idle" default:"1h" min:"3m" max:"24h"`
}

var options = config.Options{
	Prefix: "APP_", Hint: "app config lists all settings",
	Kinds: map[string]func(string) error{"even": func(text string) error {
		if len(text)%2 != 0 {
			return fmt.Errorf("is %q: want an even number of letters", text)
		}
		return nil
	}},
}

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A flag wins over the environment, the environment over the file, the file over the default.
func TestOrder(t *testing.T) {
	path := file(t, "listen: file\nlog_level: debug\nnetworks: [a, b]\ncount: 3\n")
	s := settings{Level: "warn"}
	where, err := config.New(&s, options).Load(config.Sources{
		Flags: map[string]bool{"log-level": true}, File: path,
		Environ: []string{"APP_LISTEN= environ\r", "APP_LOG_LEVEL=x", "APP_IDLE=\r", "HOME=/x"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := config.Origins{
		"listen": "APP_LISTEN", "ops_token": "default", "log_level": "flag --log-level", "networks": path + ":3",
		"secure": "default", "count": path + ":4", "idle": "default",
	}
	if !maps.Equal(where, want) {
		t.Errorf("origins = %v, want %v", where, want)
	}
	if s.Listen != "environ" || s.Level != "warn" || len(s.Networks) != 2 || s.Secure || s.Count != 3 || s.Idle != time.Hour {
		t.Errorf("loaded %+v", s)
	}
	again := settings{}
	if _, err := config.New(&again, options).Load(config.Sources{Environ: []string{"APP_CONFIG=" + path}}); err != nil || again.Count != 3 {
		t.Errorf("the file that APP_CONFIG names: %+v, %v", again, err)
	}
}

func TestRefusedFiles(t *testing.T) { // OPS-12
	for text, want := range map[string]string{
		"lisen: x":                        `c.yaml:1: unknown key "lisen"` + "\nhint: did you mean listen?",
		"somethingelse: x":                "\nhint: app config lists all settings",
		"idle: 1h\nidle: 2h":              "c.yaml:2: idle is set twice, first at ",
		"idle: soon":                      `c.yaml:1: idle is "soon": want a duration such as 10s, 5m or 24h`,
		"idle: 90":                        `c.yaml:1: idle is "90": want a duration`,
		"idle:":                           "c.yaml:1: idle wants one plain value",
		"idle: {a: b}":                    "c.yaml:1: idle wants one plain value",
		"networks: {a: b}":                "c.yaml:1: networks wants a list of plain values",
		"networks: [\"a,b\"]":             "c.yaml:1: networks wants a list of plain values",
		"- idle":                          "c.yaml:1: want lines of the form key: value",
		"idle: 1h\n---\nidle: 2h":         "more than one YAML document",
		"\n\nidle: [":                     "c.yaml:3: ",
		"a: &a x\nlisten: *a":             `c.yaml:1: unknown key "a"`,
		"listen: *a":                      "unknown anchor",
		"x-n: &a [a, b]\nlisten: *a":      "c.yaml:2: listen wants one plain value",
		"x-n: &a [a, b]\nnetworks: [*a]":  "c.yaml:2: networks wants a list of plain values",
		"networks: &a [a, *a]":            "c.yaml:1: networks wants a list of plain values",
		"x-n: &a {idle: 1h}\n<<: [*a, x]": "c.yaml:2: << wants mappings",
		"x-n: &a {lisen: x}\n<<: *a":      `c.yaml:1: unknown key "lisen"` + "\nhint: did you mean listen?",
		"<<: &a {<<: *a}":                 "<< wants mappings, 100 at most",
		"x-n: &a " + strings.Repeat("x", 1<<10) + "\nnetworks: [" + strings.Repeat("*a, ", 1<<10) + "]": "networks is longer than 65536 bytes",
		"\xff\xfei\x00d\x00":           "is UTF-16: save it as UTF-8",
		"ops_token: abc":               `c.yaml:1: unknown key "ops_token"`,
		"ops_token_file: /no/such":     "c.yaml:1: ops_token cannot be read: ",
		"count: -1":                    `c.yaml:1: count is "-1": want a number`,
		"Idle: 1h":                     `c.yaml:1: unknown key "Idle"`,
		"idle: 2h\nsecure: yes":        `c.yaml:2: secure is "yes": want true or false`,
		"idle: soon\nsecure: 1 # both": "secure is",
	} {
		_, err := config.New(new(settings), options).Load(config.Sources{File: file(t, text)})
		if _, invalid := errors.AsType[config.Invalid](err); !invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: Load = %v, want %q", text, err, want)
		}
	}
	for _, text := range []string{"", "\n", "# nothing\n", "\ufeff", "\ufeff\r\n"} {
		if _, err := config.New(new(settings), options).Load(config.Sources{File: file(t, text)}); err != nil {
			t.Errorf("%q: Load = %v", text, err)
		}
	}
}

// What editors add to a file, and what YAML has against saying something twice.
func TestFilesAsPeopleWriteThem(t *testing.T) {
	for _, text := range []string{
		"\ufeffnetworks: [aa, bb]\r\nidle: 2h  \r\n\r\n",
		"x-one: &one aa\nnetworks: [*one, &two bb]\nlisten: *two\nidle: 2h",
		"x-all: &all [aa, bb]\nnetworks: *all\nidle: 2h",
		"x-base: &base\n  networks: [aa, bb]\n  idle: 1h\n<<: *base\nidle: 2h",
		"x-base: &base\n  idle: 2h\nx-more: &more\n  idle: 3h\n  networks: [aa, bb]\n<<: [*base, *more]",
		"<<: {networks: [aa, bb], <<: {idle: 2h}}",
	} {
		var s settings
		if _, err := config.New(&s, options).Load(config.Sources{File: file(t, text)}); err != nil {
			t.Errorf("%q: %v", text, err)
		} else if fmt.Sprint(s.Networks, s.Idle) != "[aa bb] 2h0m0s" {
			t.Errorf("%q: %v, %v", text, s.Networks, s.Idle)
		}
	}
}

func TestEnvironment(t *testing.T) { // OPS-12
	load := func(environ ...string) error {
		_, err := config.New(new(settings), options).Load(config.Sources{Environ: environ})
		return err
	}
	for name, hint := range map[string]string{
		"APP_LISEN=x": "did you mean APP_LISTEN?", "APP_LISTEN_FILE=x": "did you mean APP_LISTEN?", "APP_IDLE_PORT=1h": "did you mean APP_IDLE?",
		"APP_LISTEN_PORT=8080": "did you mean APP_LISTEN?", "APP_LOG_LEVEL_NAMES=x": "did you mean APP_LOG_LEVEL?", "APP_SERVICE_HOST=example": "", "APP_LOG_LEVEL_NAME=info": "", "APP_PORT=8080": "", "APP_PORT=http://10.0.0.1:80": "",
	} {
		if err := load(name); err == nil || !strings.Contains(err.Error(), "is not a setting\nhint: "+hint) {
			t.Errorf("%s: Load = %v", name, err)
		}
	}
}

// One shell, and one file, has the settings of several programs.
func TestOthers(t *testing.T) {
	of := options
	of.Others = []string{"APP_ROUTES", "APP_KEY_FILE"}
	load := func(file string, environ ...string) error {
		_, err := config.New(new(settings), of).Load(config.Sources{File: file, Environ: environ})
		return err
	}
	if err := load(file(t, "routes: x\nkey_file: y\nidle: 1h"), "APP_ROUTES=x", "APP_KEY_FILE=y"); err != nil {
		t.Errorf("settings of another program: %v", err)
	}
	for _, text := range []string{"rutes: x", "key: y", "ROUTES: x"} {
		if err := load(file(t, text)); err == nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	if err := load("", "APP_KEY=x"); err == nil {
		t.Error("a name that no program has is no error")
	}
}

// What Kubernetes makes of the Services app and app-gateway, of a Service without an address, and
// of IPv6; and what a link of Docker makes of a container.
func TestNeighbours(t *testing.T) {
	for _, environ := range []string{`
APP_SERVICE_HOST=10.0.0.1
APP_SERVICE_PORT=80
APP_SERVICE_PORT_HTTP=80
APP_PORT=tcp://10.0.0.1:80
APP_PORT_80_TCP=tcp://10.0.0.1:80
APP_PORT_80_TCP_PROTO=tcp
APP_PORT_80_TCP_PORT=80
APP_PORT_80_TCP_ADDR=10.0.0.1
APP_PORT_53_UDP=udp://10.0.0.1:53
APP_PORT_53_UDP_PROTO=udp
APP_PORT_9_SCTP=sctp://10.0.0.1:9`, `
APP_REDIS_SERVICE_HOST=fd00::1
APP_REDIS_SERVICE_PORT=6379
APP_REDIS_PORT=tcp://[fd00::1]:6379
APP_REDIS_PORT_6379_TCP=tcp://[fd00::1]:6379
APP_REDIS_PORT_6379_TCP_PROTO=tcp
APP_REDIS_PORT_6379_TCP_PORT=6379
APP_REDIS_PORT_6379_TCP_ADDR=fd00::1`, `
APP_HEADLESS_SERVICE_HOST=None`, `
APP_DB_NAME=/web/app_db
APP_DB_ENV_POSTGRES_USER=me
APP_DB_PORT=tcp://172.17.0.2:5432`,
	} {
		var s settings
		where, err := config.New(&s, options).Load(config.Sources{Environ: strings.Fields(environ)})
		if err != nil {
			t.Errorf("%s: Load = %v", environ, err)
		}
		for key, origin := range where {
			if origin != config.Default {
				t.Errorf("%s: %s is from %s", environ, key, origin)
			}
		}
	}
}

// OPS-01, OPS-11: a secret comes from a file or the environment, and no text has it.
func TestSecrets(t *testing.T) {
	path := file(t, "\ufeff canary \r\n\r\n")
	for _, from := range []config.Sources{
		{Environ: []string{"APP_OPS_TOKEN=canary"}},
		{Environ: []string{"APP_OPS_TOKEN=\ufeff canary\t\n"}},
		{Environ: []string{"APP_OPS_TOKEN_FILE=" + path}},
		{File: file(t, "ops_token_file: "+path)},
	} {
		var s settings
		c := config.New(&s, options)
		if _, err := c.Load(from); err != nil || s.Token.Reveal() != "canary" {
			t.Errorf("%v: %q, %v", from, s.Token.Reveal(), err)
		}
		for _, f := range c.All() {
			if strings.Contains(f.Text(), "canary") || f.Secret() && f.Text() != "[secret]" {
				t.Errorf("%s shows %q", f.Key(), f.Text())
			}
		}
	}
	for _, environ := range [][]string{
		{"APP_OPS_TOKEN=canary", "APP_OPS_TOKEN_FILE=" + path},
		{"APP_OPS_TOKEN_FILE=" + file(t, "\n")},
		{"APP_OPS_TOKEN_FILE=" + file(t, "canary\ncanary")}, {"APP_OPS_TOKEN=canary\ncanary"}, {"APP_OPS_TOKEN_FILE=" + file(t, "canary\x00")},
		{"APP_OPS_TOKEN_FILE=/no/such"},
	} {
		if _, err := config.New(new(settings), options).Load(config.Sources{Environ: environ}); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%v: Load = %v", environ, err)
		}
	}
}

// A secret that Kubernetes gives a program of root by a group is taken, with a warning.
func TestMountedSecretFile(t *testing.T) {
	dir := t.TempDir()
	dated := filepath.Join(dir, "..2026_11_30_08_00_00.1")
	if err := errors.Join(os.Mkdir(dated, 0o755), os.WriteFile(filepath.Join(dated, "token"), []byte("canary"), 0o600),
		os.Symlink(filepath.Base(dated), filepath.Join(dir, "..data")), os.Symlink("..data/token", filepath.Join(dir, "token"))); err != nil {
		t.Fatal(err)
	}
	for mode, want := range map[os.FileMode]string{0o400: "", 0o640: "is in a file that may be read by group", 0o444: "refused"} {
		if err := os.Chmod(filepath.Join(dated, "token"), mode); err != nil {
			t.Fatal(err)
		}
		var s settings
		var warnings []config.Problem
		_, err := config.New(&s, options).Load(config.Sources{
			Environ: []string{"APP_OPS_TOKEN_FILE=" + filepath.Join(dir, "token")}, Warn: func(p config.Problem) { warnings = append(warnings, p) },
		})
		if want == "refused" {
			if err == nil || !strings.Contains(err.Error(), "\nhint: in the volume of the secret set defaultMode: 0400") {
				t.Errorf("mode %o: Load = %v", mode, err)
			}
			continue
		}
		if err != nil || s.Token.Reveal() != "canary" || len(warnings) != min(1, len(want)) {
			t.Errorf("mode %o: Load = %v, with %v", mode, err, warnings)
		}
		for _, w := range warnings {
			if w.Where != "APP_OPS_TOKEN_FILE" || w.Key != "ops_token" || !strings.HasPrefix(w.Problem, want) || !strings.Contains(w.Hint, "defaultMode") {
				t.Errorf("mode %o: %+v", mode, w)
			}
		}
	}
}

// OPS-11: a secret in a file that others may read is refused. The group may read a file of
// another user: the owner gave it to the group.
func TestSecretFileOfOthers(t *testing.T) {
	path := file(t, "canary")
	load := func() error {
		_, err := config.New(new(settings), options).Load(config.Sources{Environ: []string{"APP_OPS_TOKEN_FILE=" + path}})
		return err
	}
	for _, mode := range []os.FileMode{0o604, 0o640, 0o620, 0o602, 0o644} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if err := load(); err == nil || !strings.Contains(err.Error(), "other users of the machine\nhint: chmod 600 "+path) {
			t.Errorf("mode %o: Load = %v", mode, err)
		}
	}
	if os.Geteuid() != 0 {
		return // only root can give a file away
	}
	for mode, ok := range map[os.FileMode]bool{0o440: true, 0o444: false, 0o460: false} {
		if err := errors.Join(os.Chmod(path, mode), os.Chown(path, 65532, 65532)); err != nil {
			t.Fatal(err)
		}
		if err := load(); (err == nil) != ok {
			t.Errorf("mode %o of another user: Load = %v", mode, err)
		}
	}
}

func TestCheck(t *testing.T) {
	for text, want := range map[string]string{
		"log_level: loud": `log_level is "loud": want debug, info or warn`,
		"idle: 1m":        "idle is 1m: want 3m to 24h",
		"idle: 25h":       "idle is 25h: want 3m to 24h",
		"listen: odd":     `listen is "odd": want an even number of letters`,
		"networks: ab,c":  `networks is "c": want an even number of letters`,
	} {
		c := config.New(new(settings), options)
		where, err := c.Load(config.Sources{File: file(t, text)})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Check(where).Err(); err == nil || !strings.Contains(err.Error(), "c.yaml:1: "+want) {
			t.Errorf("%q: Check = %v, want %q", text, err, want)
		}
	}
	v := config.Verdict{Origins: config.Origins{"secure": "default"}}
	v.Danger("secure", "is off", "turn it on")
	if v.Err() != nil || len(v.Warnings) != 1 {
		t.Errorf("Danger in development: %+v", v)
	}
	v.Production = true
	v.Danger("secure", "is off", "turn it on")
	if err := v.Err(); err == nil || err.Error() != "secure is off, which production mode refuses\nhint: turn it on" {
		t.Errorf("Danger in production: %v", err)
	}
}

// A struct that cannot be settings is a mistake that shows at once.
func TestMisfits(t *testing.T) {
	for name, target := range map[string]any{
		"no name": &struct{ A string }{}, "a type of its own": &struct {
			A float64 `name:"a"`
		}{}, "one name twice": &struct {
			A string `name:"a-b"`
			B string `name:"a_b"`
		}{}, "an unknown kind": &struct {
			A string `name:"a" want:"odd"`
		}{}, "not exported": &struct {
			a string `name:"a"`
		}{}, "no pointer": settings{},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: New does not panic", name)
				}
			}()
			config.New(target, options)
		}()
	}
}

type Listener struct {
	Listen string `name:"listen" default:":8080"`
	Level  string `name:"level" default:"info"`
}

// A program gives what it embeds other defaults.
func TestDefaultsOfEmbedded(t *testing.T) {
	var c struct {
		Listener `defaults:"listen=:8085"`
	}
	all := config.New(&c, config.Options{})
	if _, err := all.Load(config.Sources{}); err != nil || c.Listen != ":8085" || c.Level != "info" || all.All()[0].Default() != ":8085" {
		t.Errorf("%+v, %v", c, err)
	}
}

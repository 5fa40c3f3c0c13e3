package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/prometheus/client_golang/prometheus"
	"go.yaml.in/yaml/v3"

	"github.com/counterfoil/counterfoil/internal/config"
)

const deploy = "../../deploy"

func deployed(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(deploy, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// accepts checks that the program accepts the arguments and variables that a file of deploy gives
// it, and that the rules for settings do. It replaces the files of secrets.
func accepts(t *testing.T, where string, args []string, env map[string]string) {
	t.Helper()
	var p program
	parser, err := kong.New(&p, kong.Exit(func(int) {}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(args); err != nil {
		t.Errorf("%s: counterfoil %s: %v", where, strings.Join(args, " "), err)
	}
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(strings.Repeat("s", 64)), 0o600); err != nil {
		t.Fatal(err)
	}
	var environ []string
	for name, value := range env {
		if strings.HasPrefix(name, envPrefix) && strings.HasSuffix(name, "_FILE") {
			value = secret
		}
		// The file of the CA does not exist here.
		value = strings.ReplaceAll(value, "&sslrootcert=/secret/ca.pem", "")
		environ = append(environ, name+"="+value)
	}
	var c settings
	origin, err := c.load(config.Sources{Environ: environ})
	if err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	if err := c.check(origin).Err(); err != nil {
		t.Errorf("%s: %v", where, err)
	}
}

func TestDeploySystemd(t *testing.T) {
	env, unit := map[string]string{}, string(deployed(t, "systemd/counterfoil.service"))
	for line := range strings.Lines(unit) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "#")
		if rest, ok := strings.CutPrefix(line, "Environment="); ok {
			name, value, _ := strings.Cut(rest, "=")
			env[name] = value
		}
		if rest, ok := strings.CutPrefix(line, "ExecStart=/usr/local/bin/counterfoil "); ok {
			accepts(t, "ExecStart", strings.Fields(rest), env)
		}
	}
	if !strings.Contains(unit, "RestartPreventExitStatus=2 3\n") || exitUsage != 2 || exitConfig != 3 {
		t.Error("the unit tries again what cannot succeed")
	}
	if unit, _, _ := strings.Cut(unit, "[Service]"); !strings.Contains(unit, "\nStartLimitIntervalSec=0\n") {
		t.Error("the unit gives up while its store is away")
	}
	if !strings.Contains(unit, "\nTimeoutStartSec=15min\n") {
		t.Error("the unit cuts a long migration off, and begins it anew for ever")
	}
	accepts(t, "systemd", []string{"serve"}, env)
}

// The settings of the package are valid as they are, and with the examples in them. The server of
// the unit finds the data folder, which the scripts of the package make.
func TestDeployDeb(t *testing.T) {
	shipped := string(deployed(t, "deb/config.yaml"))
	for _, file := range []string{shipped, regexp.MustCompile(`(?m)^#(\w+: )`).ReplaceAllString(shipped, "$1")} {
		name := filepath.Join(t.TempDir(), "config.yaml")
		if err := os.WriteFile(name, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		var c settings
		origin, err := c.load(config.Sources{File: name})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.check(origin).Err(); err != nil {
			t.Error(err)
		}
		if !strings.Contains(string(deployed(t, "deb/postinst")), " "+c.Data+"\n") || !strings.Contains(string(deployed(t, "systemd/counterfoil.service")), "\nWorkingDirectory="+c.Data+"\n") {
			t.Errorf("the data folder %s is not that of the package and of the unit", c.Data)
		}
		if file != shipped && (!c.Production || c.Issuer == "" || len(c.TrustedProxies) != 1) {
			t.Errorf("the examples set %+v", c)
		}
	}
}

func TestDeployCompose(t *testing.T) {
	var file struct {
		Services map[string]struct {
			Image       string
			Command     []string
			Environment map[string]string
			Secrets     []any
		}
		Secrets map[string]any
	}
	if err := yaml.Unmarshal(deployed(t, "compose/compose.yaml"), &file); err != nil {
		t.Fatal(err)
	}
	servers := 0
	for name, s := range file.Services {
		for _, secret := range s.Secrets {
			if long, ok := secret.(map[string]any); ok {
				secret = long["source"]
			}
			if _, known := file.Secrets[fmt.Sprint(secret)]; !known {
				t.Errorf("%s: no secret %v", name, secret)
			}
		}
		if s.Image == "counterfoil" {
			servers++
			accepts(t, "compose "+name, s.Command, s.Environment)
			if !strings.Contains(string(deployed(t, "compose/nginx.conf")), "server "+name+":8080 ") {
				t.Errorf("nginx does not know %s", name)
			}
		}
	}
	if servers != 2 {
		t.Errorf("%d servers, want 2", servers)
	}
}

// object has the members of a Kubernetes object that the test checks.
type object struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string
	Metadata   struct{ Name string }
	Spec       struct {
		Template struct {
			Metadata struct{ Labels map[string]string }
			Spec     struct {
				Containers []struct {
					Args          []string
					Env           []struct{ Name, Value string }
					VolumeMounts  []struct{ Name string } `yaml:"volumeMounts"`
					LivenessProbe struct {
						HTTPGet struct{ Path string } `yaml:"httpGet"`
					} `yaml:"livenessProbe"`
					ReadinessProbe struct {
						HTTPGet struct{ Path string } `yaml:"httpGet"`
					} `yaml:"readinessProbe"`
				}
				Volumes []struct{ Name string }
			}
		}
	}
}

func TestDeployKubernetes(t *testing.T) {
	decoder := yaml.NewDecoder(bytes.NewReader(deployed(t, "kubernetes/counterfoil.yaml")))
	var kinds []string
	for {
		var o object
		if err := decoder.Decode(&o); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, o.APIVersion+" "+o.Kind+" "+o.Metadata.Name)
		for _, c := range o.Spec.Template.Spec.Containers {
			env := map[string]string{}
			for _, e := range c.Env {
				env[e.Name] = e.Value
			}
			accepts(t, "kubernetes", c.Args, env)
			if c.LivenessProbe.HTTPGet.Path != "/healthz" || c.ReadinessProbe.HTTPGet.Path != "/readyz" {
				t.Errorf("probes: %+v, %+v", c.LivenessProbe, c.ReadinessProbe)
			}
			for _, mount := range c.VolumeMounts {
				if !slices.ContainsFunc(o.Spec.Template.Spec.Volumes, func(v struct{ Name string }) bool { return v.Name == mount.Name }) {
					t.Errorf("no volume %s", mount.Name)
				}
			}
		}
	}
	want := []string{"apps/v1 Deployment counterfoil", "v1 Service counterfoil", "policy/v1 PodDisruptionBudget counterfoil"}
	if !slices.Equal(kinds, want) {
		t.Errorf("objects %v, want %v", kinds, want)
	}
}

// metricNames returns the metrics of a server, without those of Go and of the process.
func metricNames(t *testing.T) []string {
	t.Helper()
	m := newMetrics(func() uint64 { return 0 })
	if err := m.Registry.Register(&state{}); err != nil {
		t.Fatal(err)
	}
	return namesIn(m.Registry)
}

// namesIn returns the names of the metrics of c.
func namesIn(c prometheus.Collector) (names []string) {
	descriptions := make(chan *prometheus.Desc)
	go func() { c.Describe(descriptions); close(descriptions) }()
	name := regexp.MustCompile(`fqName: "(counterfoil_[a-z_]+)"`)
	for d := range descriptions {
		if found := name.FindStringSubmatch(d.String()); found != nil {
			names = append(names, found[1])
		}
	}
	return names
}

var metricName = regexp.MustCompile(`counterfoil_[a-z_]+`)

// measured checks that the program has every metric in an expression.
func measured(t *testing.T, where, expr string) {
	t.Helper()
	known := append(metricNames(t), namesIn(certificateFigures{})...)
	if expr == "" || strings.Count(expr, "(") != strings.Count(expr, ")") || strings.Count(expr, "{") != strings.Count(expr, "}") {
		t.Errorf("%s: %q is no expression", where, expr)
	}
	for _, name := range metricName.FindAllString(expr, -1) {
		series := name
		for _, suffix := range []string{"_bucket", "_count", "_sum"} {
			if base, cut := strings.CutSuffix(name, suffix); cut && strings.HasSuffix(base, "_seconds") {
				series = base
			}
		}
		if !slices.Contains(known, series) {
			t.Errorf("%s: there is no metric %s", where, name)
		}
	}
}

func TestDeployAlerts(t *testing.T) {
	var file struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	decoder := yaml.NewDecoder(bytes.NewReader(deployed(t, "prometheus/alerts.yaml")))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			measured(t, r.Alert, r.Expr)
			if r.Annotations["summary"] == "" || r.Labels["severity"] != "page" && r.Labels["severity"] != "ticket" {
				t.Errorf("%s: labels %v, annotations %v", r.Alert, r.Labels, r.Annotations)
			}
		}
	}
	if len(file.Groups) == 0 {
		t.Error("no rules")
	}
}

func TestDeployDashboard(t *testing.T) {
	var d struct {
		Panels []struct {
			ID      int
			Title   string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(deployed(t, "grafana/counterfoil.json"), &d); err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	shown := ""
	for _, p := range d.Panels {
		if seen[p.ID] || p.GridPos.X+p.GridPos.W > 24 || len(p.Targets) == 0 {
			t.Errorf("panel %d, %s: %+v", p.ID, p.Title, p.GridPos)
		}
		seen[p.ID] = true
		for _, target := range p.Targets {
			measured(t, p.Title, target.Expr)
			shown += target.Expr + "\n"
		}
	}
	for _, name := range metricNames(t) {
		if name != "counterfoil_log_head" && !strings.Contains(shown, name) {
			t.Errorf("no panel shows %s", name)
		}
	}
}

package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/counterfoil/counterfoil"
)

// fileRoute is a Route as a file of routes (YAML) has it.
type fileRoute struct {
	Origin    string   `yaml:"origin"`
	Path      string   `yaml:"path"`
	Prefix    string   `yaml:"prefix"`
	Methods   []string `yaml:"methods"`
	Anonymous bool     `yaml:"anonymous"`
	Require   struct {
		Roles  []string `yaml:"roles"`  // one of them
		Scopes []string `yaml:"scopes"` // all of them
		ACR    []string `yaml:"acr"`    // one of them
		Fresh  string   `yaml:"fresh"`  // a duration
	} `yaml:"require"`
	Carriers []string `yaml:"carriers"`
	Stale    string   `yaml:"stale"` // fail_closed, introspect, or serve_stale and a duration
	Identity Identity `yaml:"identity"`
	Audience string   `yaml:"audience"` // of assertions
	Allow    []Oddity `yaml:"allow"`

	Upstreams []string `yaml:"upstreams"`
	Health    struct {
		Path     string        `yaml:"path"`
		Interval time.Duration `yaml:"interval"`
	} `yaml:"health"`
	Timeouts struct {
		Connect time.Duration `yaml:"connect"`
		Answer  time.Duration `yaml:"answer"`
		Idle    time.Duration `yaml:"idle"`
	} `yaml:"timeouts"`
	BFF   string `yaml:"bff"`               // client
	Strip *bool  `yaml:"strip_credentials"` // nil: true
}

// ReadRoutes reads a file of routes: one YAML mapping whose member routes is a list. A name
// that is not known is an error, so that a rule that is misspelt is not a rule that is missing.
// A byte order mark does no harm.
func ReadRoutes(data []byte) ([]Route, error) {
	var file struct {
		Routes []fileRoute `yaml:"routes"`
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil && !errors.Is(err, io.EOF) {
		return nil, misread(err)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("the file has more than one YAML document")
	}
	routes := make([]Route, 0, len(file.Routes))
	for _, f := range file.Routes {
		r, err := f.route()
		if err != nil {
			return nil, fmt.Errorf("route %s%s%s: %w", f.Origin, f.Path, f.Prefix, err)
		}
		routes = append(routes, r)
	}
	return routes, nil
}

// misread is an error of the YAML decoder without the types of Go.
func misread(err error) error {
	wrong, is := errors.AsType[*yaml.TypeError](err)
	if !is {
		return errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	problems := make([]string, 0, len(wrong.Errors))
	for _, text := range wrong.Errors {
		text, _, _ = strings.Cut(text, " in type ")
		text, _, _ = strings.Cut(text, " into ")
		text = strings.Replace(text, "cannot unmarshal !!", "another kind of value is wanted than ", 1)
		problems = append(problems, text)
	}
	return errors.New(strings.Join(problems, "; "))
}

func (f *fileRoute) route() (Route, error) {
	r := Route{Origin: f.Origin, Path: f.Path, Prefix: f.Prefix, Methods: f.Methods, Anonymous: f.Anonymous, Identity: f.Identity, Audience: f.Audience, Scopes: f.Require.Scopes, Allow: f.Allow, Upstreams: f.Upstreams, BFF: f.BFF}
	r.Health, r.Timeouts = Health(f.Health), Timeouts(f.Timeouts)
	r.KeepCredentials = f.Strip != nil && !*f.Strip
	if f.Require.Roles != nil {
		r.Rules = append(r.Rules, oneRole(f.Require.Roles))
	}
	if f.Require.ACR != nil {
		r.Rules = append(r.Rules, counterfoil.ACR(f.Require.ACR...))
	}
	if f.Require.Fresh != "" {
		age, err := time.ParseDuration(f.Require.Fresh)
		if err != nil || age <= 0 {
			return r, fmt.Errorf("fresh is %q: want a duration such as 15m", f.Require.Fresh)
		}
		r.Rules = append(r.Rules, counterfoil.Fresh(age))
	}
	var err error
	if r.Stale, err = parseStale(f.Stale); err != nil {
		return r, err
	}
	return r, f.carriers(&r)
}

// carriers limits r to those that the file names.
func (f *fileRoute) carriers(r *Route) error {
	if f.Carriers == nil {
		return nil
	}
	var allowed []counterfoil.Carrier
	for _, name := range f.Carriers {
		var c counterfoil.Carrier
		if err := c.UnmarshalText([]byte(name)); err != nil {
			return err
		}
		allowed = append(allowed, c)
		if !slices.Contains(r.Formats, c.Format) {
			r.Formats = append(r.Formats, c.Format)
		}
	}
	if len(allowed) == 0 {
		return errors.New("carriers lists none")
	}
	r.Transport = allowed[0].Transport
	if slices.ContainsFunc(allowed, func(c counterfoil.Carrier) bool { return c.Transport != r.Transport }) {
		r.Transport = 0 // both
	}
	r.Rules = append(r.Rules, func(s *counterfoil.Session, _ time.Time) error {
		if !slices.Contains(allowed, s.Carrier) {
			return fmt.Errorf("%w: carrier %s", counterfoil.ErrForbidden, strings.Join(f.Carriers, " or "))
		}
		return nil
	})
	return nil
}

// oneRole demands one of the roles.
func oneRole(roles []string) counterfoil.Rule {
	return func(s *counterfoil.Session, _ time.Time) error {
		if !slices.ContainsFunc(roles, s.HasRole) {
			return fmt.Errorf("%w: role %s", counterfoil.ErrForbidden, strings.Join(roles, " or "))
		}
		return nil
	}
}

// parseStale reads a policy for knowledge that is too old. The empty one is that of the verifier.
func parseStale(text string) (counterfoil.StalePolicy, error) {
	switch text {
	case "":
		return counterfoil.StalePolicy{}, nil
	case "fail_closed":
		return counterfoil.FailClosed(), nil
	case "introspect":
		return counterfoil.Introspect(), nil
	}
	if age, found := strings.CutPrefix(text, "serve_stale "); found {
		if d, err := time.ParseDuration(age); err == nil && d > 0 && d <= time.Minute {
			return counterfoil.ServeStale(d), nil
		}
	}
	return counterfoil.StalePolicy{}, fmt.Errorf("stale is %q: want fail_closed, introspect, or serve_stale and a duration up to 1m, such as serve_stale 20s", text)
}

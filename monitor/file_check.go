package monitor

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/counterfoil/counterfoil/internal/secret"
)

// The limits of a file.
const (
	graceMost   = 24 * time.Hour
	timeoutMost = 5 * time.Minute
	windowMost  = 20 // runs that Down looks at
	shortestID  = 22 // characters of the id of a push check: 128 bits in base64
)

// check reads an item of checks.
func (r *reader) check(n *yaml.Node, f *File) {
	c := &Check{Up: 2, Down: Threshold{3, 3}}
	own := r.kinds(n, c)
	if c.Kind == Push { // a call that does not come was waited for long enough
		c.Down, c.Up = Threshold{1, 1}, 1
	}
	for name, read := range map[string]func(*yaml.Node){
		"name":     func(n *yaml.Node) { c.Name = r.name(n) },
		"title":    func(n *yaml.Node) { c.Title = r.text(n) },
		"group":    func(n *yaml.Node) { c.Group = r.text(n) },
		"public":   func(n *yaml.Node) { c.Public = r.flag(n) },
		"every":    func(n *yaml.Node) { c.Every = r.duration(n, everyLeast, everyMost) },
		"down":     func(n *yaml.Node) { r.down(n, c) },
		"up":       func(n *yaml.Node) { c.Up = r.number(n, 1, windowMost) },
		"remind":   func(n *yaml.Node) { c.Remind = r.duration(n, time.Minute, 30*24*time.Hour) },
		"channels": func(n *yaml.Node) { c.Channels = r.texts(n) },
	} {
		own[name] = read
	}
	r.mapping(n, "a check", own)
	if c.Name == "" {
		r.refuse(n, "the check has no name", "name: shop")
	}
	if c.Kind == "" {
		r.refuse(n, "check "+c.Name+" does not say what it looks at", "want one of http, tcp, tls, push, journey; for example http: https://shop.example.com/health")
	}
	r.complete(n, c)
	f.Checks = append(f.Checks, c)
}

// kinds returns the members that a check has only because of its kind. A member of another kind is
// not known.
func (r *reader) kinds(n *yaml.Node, c *Check) map[string]func(*yaml.Node) {
	all := map[string]func(*yaml.Node){}
	if n.Kind != yaml.MappingNode {
		return all
	}
	for _, kind := range kinds {
		all[string(kind)] = func(n *yaml.Node) {
			if c.Kind != kind {
				r.refuse(n, fmt.Sprintf("check %s looks at two things: %s and %s", c.Name, c.Kind, kind), "")
				return
			}
			r.target(n, c)
		}
	}
	for i := 0; i < len(n.Content); i += 2 {
		if name := n.Content[i].Value; c.Kind == "" && all[name] != nil {
			c.Kind = Kind(name)
		}
	}
	if c.Kind != Push {
		all["timeout"] = func(n *yaml.Node) { c.Timeout = r.duration(n, time.Second, timeoutMost) }
		all["show_target"] = func(n *yaml.Node) { c.ShowTarget = r.flag(n) }
	}
	switch c.Kind {
	case HTTP:
		all["method"] = func(n *yaml.Node) { c.Request.Method = r.method(n) }
		all["headers"] = func(n *yaml.Node) { r.headers(n, c, r.text) }
		all["headers_file"] = func(n *yaml.Node) {
			r.headers(n, c, func(n *yaml.Node) string { return r.secret(n).Reveal() })
		}
		all["body"] = func(n *yaml.Node) { c.Request.Body = secret.New(r.text(n)) }
		all["expect"] = func(n *yaml.Node) { r.expect(n, c) }
		all["tls_options"] = func(n *yaml.Node) { r.secure(n, c) }
	case TCP:
		all["expect"] = func(n *yaml.Node) { r.expect(n, c) }
	case TLS:
		all["expect"] = func(n *yaml.Node) { r.expect(n, c) }
		all["tls_options"] = func(n *yaml.Node) { r.secure(n, c) }
	case Push:
		all["grace"] = func(n *yaml.Node) { c.Grace = r.duration(n, time.Second, graceMost) }
	case Journey:
		r.journey(all, c)
	}
	return all
}

// target reads what follows the kind.
func (r *reader) target(n *yaml.Node, c *Check) {
	switch c.Kind {
	case HTTP, Journey:
		c.Target = r.url(n)
	case TCP, TLS:
		c.Target = r.text(n)
		name, port, err := net.SplitHostPort(c.Target)
		if i, bad := strconv.Atoi(port); err != nil || name == "" || bad != nil || i < 1 || i > 65535 {
			r.refuse(n, fmt.Sprintf("%q: want a host and a port, such as db.example.com:5432", c.Target), "")
			return
		}
		r.hosts = append(r.hosts, host{n, name})
	case Push:
		if c.PushID = r.secret(n); c.PushID.Reveal() != "" && len(c.PushID.Reveal()) < shortestID || strings.Trim(c.PushID.Reveal(), "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			r.refuse(n, fmt.Sprintf("holds no id: want %d letters, digits, - or _, or more", shortestID), "make one with openssl rand -hex 16")
		}
	}
}

// url is one without a user and a fragment.
func (r *reader) url(n *yaml.Node) string {
	text := r.text(n)
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		r.refuse(n, "want a URL that begins with https:// or http://", "")
	case u.User != nil:
		r.refuse(n, "has a user or a password, which logs and pages would show", "use headers_file with Authorization")
	case u.Fragment != "":
		r.refuse(n, "has a fragment, which no server gets", "")
	default:
		r.hosts = append(r.hosts, host{n, u.Hostname()})
	}
	return text
}

var methods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions}

func (r *reader) method(n *yaml.Node) string {
	m := r.text(n)
	if !slices.Contains(methods, m) {
		r.refuse(n, fmt.Sprintf("%q is no method", m), "want one of "+strings.Join(methods, ", "))
	}
	return m
}

// hopHeaders are set by the client itself.
var hopHeaders = []string{"Connection", "Content-Length", "Transfer-Encoding", "Upgrade", "Trailer", "Te"}

func (r *reader) headers(n *yaml.Node, c *Check, read func(*yaml.Node) string) {
	if n.Kind != yaml.MappingNode {
		r.refuse(n, "headers: want lines of the form name: value", "")
		return
	}
	if c.Request.Headers == nil {
		c.Request.Headers = http.Header{}
	}
	for i := 0; i < len(n.Content); i += 2 {
		name, value := http.CanonicalHeaderKey(n.Content[i].Value), read(behind(n.Content[i+1]))
		switch {
		case strings.ContainsAny(name, " \t\r\n:") || name == "" || slices.Contains(hopHeaders, name):
			r.refuse(n.Content[i], fmt.Sprintf("%q is no header of a check", name), "")
		case strings.ContainsAny(value, "\r\n\x00"):
			r.refuse(n.Content[i], name+" has more than one line", "")
		case c.Request.Headers[name] != nil:
			r.refuse(n.Content[i], name+" is there twice", "")
		default:
			c.Request.Headers.Set(name, value)
		}
	}
}

// down reads a number of failures in a row, or failures and of.
func (r *reader) down(n *yaml.Node, c *Check) {
	if n.Kind == yaml.ScalarNode {
		i := r.number(n, 1, windowMost)
		c.Down = Threshold{i, i}
		return
	}
	var t Threshold
	r.mapping(n, "down", map[string]func(*yaml.Node){
		"failures": func(n *yaml.Node) { t.Failures = r.number(n, 1, windowMost) },
		"of":       func(n *yaml.Node) { t.Of = r.number(n, 1, windowMost) },
	})
	if t.Failures == 0 || t.Of < t.Failures {
		r.refuse(n, "want failures, and of which is not less", "down: {failures: 3, of: 5}")
		return
	}
	c.Down = t
}

func (r *reader) expect(n *yaml.Node, c *Check) {
	e := &c.Expect
	all := map[string]func(*yaml.Node){
		"latency": func(n *yaml.Node) { e.Latency = r.duration(n, time.Millisecond, timeoutMost) },
	}
	if c.Kind != TCP {
		all["certificate_days"] = func(n *yaml.Node) { e.CertificateDays = r.number(n, 1, 398) }
	}
	if c.Kind == HTTP {
		all["status"] = func(n *yaml.Node) { e.Status = r.statuses(n) }
		all["body_contains"] = func(n *yaml.Node) { e.Contains = r.text(n) }
		all["json"] = func(n *yaml.Node) { e.JSON = r.json(n) }
	}
	r.mapping(n, "expect", all)
}

func (r *reader) statuses(n *yaml.Node) (all []int) {
	if n.Kind == yaml.ScalarNode {
		return []int{r.number(n, 100, 599)}
	}
	r.list(n, "status", func(item *yaml.Node) { all = append(all, r.number(item, 100, 599)) })
	return all
}

// json reads JSON pointers and the values that they must lead to.
func (r *reader) json(n *yaml.Node) map[string]string {
	if n.Kind != yaml.MappingNode {
		r.refuse(n, "json: want lines of the form /pointer: value", "")
		return nil
	}
	all := map[string]string{}
	for i := 0; i < len(n.Content); i += 2 {
		name, value := n.Content[i], behind(n.Content[i+1])
		if _, err := splitPointer(name.Value); err != nil {
			r.refuse(name, err.Error(), "RFC 6901: such as /status, or the empty pointer for the whole answer")
			continue
		}
		var v any
		if err := value.Decode(&v); err != nil {
			r.refuse(value, "cannot be read", "")
			continue
		}
		data, err := json.Marshal(v)
		if err != nil {
			r.refuse(value, "is no value of JSON", "")
			continue
		}
		if _, twice := all[name.Value]; twice {
			r.refuse(name, fmt.Sprintf("%q is there twice", name.Value), "")
		}
		all[name.Value] = string(bytes.TrimSpace(data))
	}
	return all
}

func (r *reader) secure(n *yaml.Node, c *Check) {
	r.mapping(n, "tls_options", map[string]func(*yaml.Node){
		"ca":          func(n *yaml.Node) { c.Secure.CA = r.file(n) },
		"cert":        func(n *yaml.Node) { c.Secure.Cert = r.file(n) },
		"key":         func(n *yaml.Node) { c.Secure.Key = r.file(n) },
		"server_name": func(n *yaml.Node) { c.Secure.Name = r.text(n) },
	})
	if (c.Secure.Cert == "") != (c.Secure.Key == "") {
		r.refuse(n, "cert and key go together", "")
	}
}

// journey adds the members of a journey.
func (r *reader) journey(all map[string]func(*yaml.Node), c *Check) {
	s := &c.Sign
	all["user"] = func(n *yaml.Node) { s.User = r.text(n) }
	all["password_file"] = func(n *yaml.Node) { s.Password = r.secret(n) }
	all["client"] = func(n *yaml.Node) { s.Client = r.text(n) }
	all["carriers"] = func(n *yaml.Node) { s.Carriers = r.texts(n) }
	all["bound"] = func(n *yaml.Node) { s.Bound = r.duration(n, boundLeast, boundMost) }
	all["targets"] = func(n *yaml.Node) {
		r.list(n, "targets", func(n *yaml.Node) {
			var t Target
			r.mapping(n, "a target", map[string]func(*yaml.Node){
				"name":  func(n *yaml.Node) { t.Name = r.name(n) },
				"url":   func(n *yaml.Node) { t.URL = r.url(n) },
				"bound": func(n *yaml.Node) { t.Bound = r.duration(n, boundLeast, boundMost) },
			})
			if t.Name == "" || t.URL == "" {
				r.refuse(n, "a target has a name and a url", "")
			}
			if slices.ContainsFunc(s.Targets, func(other Target) bool { return other.Name == t.Name }) {
				r.refuse(n, fmt.Sprintf("two targets have the name %s", t.Name), "")
			}
			s.Targets = append(s.Targets, t)
		})
	}
}

// complete fills in defaults, and refuses what does not go together.
func (r *reader) complete(n *yaml.Node, c *Check) {
	if c.Title == "" {
		c.Title = c.Name
	}
	if c.Every == 0 {
		c.Every = everyDefault
	}
	switch c.Kind {
	case Push:
		if c.Grace == 0 {
			c.Grace = min(max(c.Every/10, 10*time.Second), time.Hour)
		}
		return
	case HTTP:
		if c.Request.Method == "" {
			c.Request.Method = http.MethodGet
		}
	case Journey:
		r.completeJourney(n, c)
	}
	if c.Timeout == 0 {
		c.Timeout = timeoutDefault
	}
	if c.Timeout > c.Every {
		r.refuse(n, fmt.Sprintf("check %s may take longer (timeout) than it is from run to run (every)", c.Name), "")
	}
}

// The bounds of a journey: those that a verifier may have.
const (
	boundLeast   = 2 * time.Second
	boundMost    = time.Minute
	boundDefault = 10 * time.Second

	journeyBeside = 15 * time.Second // for all that a journey does besides waiting for a refusal
)

// journeyCarriers are those that a journey can sign in by.
var journeyCarriers = []string{"cookie", "bearer", "jwt-cookie", "jwe", "jwe-cookie"}

func (r *reader) completeJourney(n *yaml.Node, c *Check) {
	s := &c.Sign
	if s.User == "" || s.Password.Reveal() == "" || len(s.Targets) == 0 {
		r.refuse(n, "journey "+c.Name+": want user, password_file and targets", "docs/monitor.md shows one")
	}
	if s.Bound == 0 {
		s.Bound = boundDefault
	}
	if s.Carriers == nil {
		s.Carriers = []string{"bearer"}
	}
	for _, carrier := range s.Carriers {
		if !slices.Contains(journeyCarriers, carrier) {
			r.refuse(n, fmt.Sprintf("%q is no carrier of a journey", carrier), "want some of "+strings.Join(journeyCarriers, ", "))
		}
	}
	longest := s.Bound
	for _, t := range s.Targets {
		longest = max(longest, t.Bound)
	}
	if c.Timeout == 0 {
		c.Timeout = longest + journeyBeside
	}
	if c.Timeout < longest+journeyBeside {
		r.refuse(n, fmt.Sprintf("journey %s: timeout must be %v or more, for the bound and what is done besides", c.Name, longest+journeyBeside), "")
	}
}

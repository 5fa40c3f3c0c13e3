package gateway

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/counterfoil/counterfoil/internal/request"
)

// claimNames are the claims that the configurations of proxies take away.
var claimNames = []string{
	"Forwarded", "X-Forwarded-Method", "X-Forwarded-Uri", "X-Forwarded-Prefix",
	"X-Original-Method", "X-Original-Url", "X-Original-Uri", "X-Rewrite-Url",
	"X-Real-Ip", "X-Forwarded-Port", "X-Forwarded-Server", "X-Forwarded-Scheme", "X-Forwarded-Ssl",
	"X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups", "X-Forwarded-Preferred-Username", "X-Remote-User",
	"X-Auth-Request-User", "X-Auth-Request-Email", "X-Auth-Request-Groups", "X-Auth-Request-Preferred-Username",
	"X-Http-Method-Override", "X-Http-Method", "X-Method-Override",
}

// GW-01, CSRF-11: each configuration takes away, or overwrites, what a visitor may not tell the service.
func TestSnippetsTakeClaimsAway(t *testing.T) {
	for _, name := range claimNames {
		if !claim(name) {
			t.Errorf("%s is no claim", name)
		}
	}
	for proxy := range snippetFiles {
		if proxy == "envoy-grpc" {
			continue // each answer names those that are there: TestEnvoyKeepsClaimsBack
		}
		text, err := Snippet(proxy, "", "")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range slices.Concat(IdentityNames, RemoteNames, claimNames) {
			if strings.HasPrefix(proxy, "envoy") && !slices.Contains(claimNames, name) {
				continue // Envoy overwrites them with those of the answer
			}
			if proxy == "traefik" && slices.Contains([]string{"X-Forwarded-Method", "X-Forwarded-Uri", "X-Forwarded-Port", "X-Forwarded-Server", "X-Real-Ip"}, name) {
				continue // Traefik takes them from who is not in forwardedHeaders.trustedIPs, and sets its own
			}
			if !strings.Contains(strings.ToLower(text), strings.ToLower(name)) {
				t.Errorf("the configuration of %s does not name %s", proxy, name)
			}
		}
	}
}

// GW-14: each configuration keeps the visitor's Authorization from the service. Traefik takes away what is in the list and not in the answer.
func TestSnippetsTakeAuthorizationAway(t *testing.T) {
	for proxy, line := range map[string]string{
		"nginx": `proxy_set_header Authorization "";`, "caddy": "header_up -Authorization", "haproxy": `txn.http:req_del_header("authorization")`,
		"traefik": "authResponseHeaders:\n          - Authorization", "gateway-api": "remove: [Authorization, Cookie]",
	} {
		if text, err := Snippet(proxy, "", ""); err != nil || !strings.Contains(text, line) {
			t.Errorf("the configuration of %s lacks %q: %v", proxy, line, err)
		}
	}
}

// Each configuration has both addresses in it that are given, and no word in capitals is left then.
func TestSnippetsHaveTheAddresses(t *testing.T) {
	words := regexp.MustCompile(`\b(GATEWAY|UPSTREAM)(_HOST|_PORT)?\b|\bPORT\b`)
	for proxy := range snippetFiles {
		gateway, upstream := "gateway.internal:18085", "[::1]:18090"
		if proxy == "gateway-api" {
			gateway, upstream = "edge-auth:18085", "orders:18090"
		}
		text, err := Snippet(proxy, gateway, upstream)
		if err != nil {
			t.Errorf("%s: %v", proxy, err)
			continue
		}
		if left := words.FindAllString(text, -1); left != nil {
			t.Errorf("the configuration of %s still has %q", proxy, left)
		}
		for _, a := range []string{gateway, upstream} {
			host, port, _ := strings.Cut(strings.NewReplacer("[", "", "]:", " ").Replace(a), " ")
			if port == "" {
				host, port, _ = strings.Cut(host, ":")
			}
			if !strings.Contains(text, host) || !strings.Contains(text, port) {
				t.Errorf("the configuration of %s lacks %s", proxy, a)
			}
		}
		blank, err := Snippet(proxy, "", "")
		if err != nil || proxy == "gateway-api" && words.MatchString(blank) || proxy != "gateway-api" && !(strings.Contains(blank, "GATEWAY") && strings.Contains(blank, "UPSTREAM")) {
			t.Errorf("the configuration of %s without addresses: %v\n%s", proxy, err, blank)
		}
		for _, bad := range []string{"gateway.internal", ":8085", "gateway.internal:http", "gateway.internal:0", "a b:8085", "a;b:8085", "http://gateway:8085", "a:8085\n", "\"a\":8085"} {
			if text, err := Snippet(proxy, bad, ""); err == nil || text != "" {
				t.Errorf("%s takes %q as the gateway", proxy, bad)
			}
			if _, err := Snippet(proxy, "", bad); err == nil {
				t.Errorf("%s takes %q as the upstream", proxy, bad)
			}
		}
	}
	if text, err := Snippet("nginx", "some_gateways", ""); err != nil || !strings.Contains(text, "proxy_pass http://some_gateways/auth-request;") {
		t.Errorf("the name of an upstream block: %v", err)
	}
	for _, bad := range []string{"localhost", "some_gateways;", "some-gateways", "_"} {
		if _, err := Snippet("nginx", bad, ""); err == nil {
			t.Errorf("nginx takes %q as the gateway", bad)
		}
	}
	if _, err := Snippet("gateway-api", "127.0.0.1:8085", ""); err == nil || !strings.Contains(err.Error(), "counterfoil:8085") {
		t.Errorf("an address instead of a Service: %v", err)
	}
}

// schema is as much of JSON Schema as the definitions of Kubernetes use.
type schema struct {
	Type       string
	Properties map[string]*schema
	Required   []string
	Items      *schema
	Enum       []any
	Pattern    string
	MinLength  int
	MaxLength  int
	MaxItems   int
	Minimum    int
	Maximum    int
}

// check says what v at that place has against s. A member that s does not list is an error: Kubernetes drops it.
func (s *schema) check(place string, v any) (problems []string) {
	bad := func(format string, args ...any) {
		problems = append(problems, place+": "+fmt.Sprintf(format, args...))
	}
	if s.Enum != nil && !slices.Contains(s.Enum, v) {
		bad("%v is none of %v", v, s.Enum)
	}
	switch v := v.(type) {
	case map[string]any:
		for _, name := range s.Required {
			if v[name] == nil {
				bad("lacks %s", name)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if member := s.Properties[name]; member == nil && place != ".metadata" {
				bad("%s is unknown", name)
			} else if member != nil {
				problems = append(problems, member.check(place+"."+name, v[name])...)
			}
		}
	case []any:
		if s.Type != "array" || s.MaxItems > 0 && len(v) > s.MaxItems {
			bad("is a list of %d, want %s of at most %d", len(v), s.Type, s.MaxItems)
			return problems
		}
		for n, item := range v {
			problems = append(problems, s.Items.check(fmt.Sprintf("%s[%d]", place, n), item)...)
		}
	case string:
		if s.Type != "string" || len(v) < s.MinLength || s.MaxLength > 0 && len(v) > s.MaxLength || s.Pattern != "" && !regexp.MustCompile(s.Pattern).MatchString(v) {
			bad("%q does not fit %s %s", v, s.Type, s.Pattern)
		}
	case int:
		if s.Type != "integer" || v < s.Minimum || s.Maximum > 0 && v > s.Maximum {
			bad("%d does not fit %s", v, s.Type)
		}
	default:
		bad("%v has no place here", v)
	}
	return problems
}

// GW-25: the configuration of the Gateway API fits the definition of an HTTPRoute, and names what a check reads and
// what an answer says.
func TestGatewayAPI(t *testing.T) {
	data, err := os.ReadFile("testdata/httproute.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var definition schema
	if err := json.Unmarshal(data, &definition); err != nil {
		t.Fatal(err)
	}
	text, err := Snippet("gateway-api", "", "")
	if err != nil {
		t.Fatal(err)
	}
	read := func(text string) (route map[string]any) {
		if err := yaml.Unmarshal([]byte(text), &route); err != nil {
			t.Fatal(err)
		}
		return route
	}
	for _, problem := range definition.check("", read(text)) {
		t.Error(problem)
	}
	for was, is := range map[string]string{
		"protocol: HTTP": "protocol: http", "allowedHeaders": "allowedRequestHeaders", "path: /ext-authz": `path: "?"`, "- type: ExternalAuth": "- kind: ExternalAuth",
		"port: 8085": "port: 80850", "              - Forwarded\n": "              - Forwarded\n              - A\n",
	} {
		if problems := definition.check("", read(strings.Replace(text, was, is, 1))); len(problems) == 0 {
			t.Errorf("the definition takes %q for %q", is, was)
		}
	}
	_, sent, _ := strings.Cut(text, "allowedHeaders:")
	sent, answered, _ := strings.Cut(sent, "allowedResponseHeaders:")
	for name := range strings.SplitSeq(request.Reads(request.Anywhere), ", ") {
		if !strings.Contains(sent, "- "+name+"\n") {
			t.Errorf("%s is not sent", name)
		}
	}
	for _, name := range slices.Concat(IdentityNames, RemoteNames) {
		if !strings.Contains(answered, "- "+name+"\n") {
			t.Errorf("%s is not passed on", name)
		}
	}
}

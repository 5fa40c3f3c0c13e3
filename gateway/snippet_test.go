package gateway

import (
	"slices"
	"strings"
	"testing"
)

// claimNames are the claims that the configurations of proxies take away.
var claimNames = []string{
	"Forwarded", "X-Forwarded-Method", "X-Forwarded-Uri", "X-Forwarded-Prefix",
	"X-Original-Method", "X-Original-Url", "X-Original-Uri", "X-Rewrite-Url",
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
			if proxy == "traefik" && (name == "X-Forwarded-Method" || name == "X-Forwarded-Uri") {
				continue // Traefik takes them from who is not in forwardedHeaders.trustedIPs
			}
			if !strings.Contains(strings.ToLower(text), strings.ToLower(name)) {
				t.Errorf("the configuration of %s does not name %s", proxy, name)
			}
		}
	}
}

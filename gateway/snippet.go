package gateway

import (
	"cmp"
	"embed"
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

//go:embed snippets
var snippets embed.FS

// snippetFiles are the configurations, by the names of the proxies.
var snippetFiles = map[string]string{
	"nginx": "nginx.conf", "caddy": "caddy.conf", "haproxy": "haproxy.lua", "traefik": "traefik.yaml", "envoy": "envoy.yaml",
	"envoy-grpc": "envoy-grpc.yaml", "gateway-api": "gateway-api.yaml",
}

// Snippet returns the configuration that makes a proxy ask a gateway. The addresses are those of
// the gateway and of the service behind it, with a port; an empty one is left as a word in capitals. For
// the Gateway API of Kubernetes they are names of Services, and an empty one is that of an example. For nginx
// one may be the name of an upstream block instead, which has an underscore and no port.
func Snippet(proxy, gateway, upstream string) (string, error) {
	file, known := snippetFiles[proxy]
	if !known {
		return "", fmt.Errorf("no configuration for %q: want one of %s", proxy, strings.Join(slices.Sorted(maps.Keys(snippetFiles)), ", "))
	}
	want := anyHost
	if proxy == "gateway-api" {
		want, gateway, upstream = serviceName, cmp.Or(gateway, serviceName.example), cmp.Or(upstream, "service:8080")
	}
	var pairs []string
	for _, a := range []struct{ word, text string }{{"GATEWAY", gateway}, {"UPSTREAM", upstream}} {
		if a.text == "" {
			continue
		}
		if proxy == "nginx" && upstreamBlock.MatchString(a.text) {
			pairs = append(pairs, a.word, a.text)
			continue
		}
		host, port, err := net.SplitHostPort(a.text)
		n, bad := strconv.ParseUint(port, 10, 16)
		if err != nil || bad != nil || n == 0 || !want.fits.MatchString(host) {
			return "", fmt.Errorf("the %s is %q: want %s and a port, such as %s", strings.ToLower(a.word), a.text, want.what, want.example)
		}
		pairs = append(pairs, a.word+"_HOST", host, a.word+"_PORT", port, a.word, a.text)
	}
	text, err := snippets.ReadFile("snippets/" + file)
	if err != nil {
		return "", err
	}
	return strings.NewReplacer(pairs...).Replace(string(text)), nil
}

// upstreamBlock fits names that no host has: a port that was forgotten is still an error.
var upstreamBlock = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)+$`)

// hosts are those that an address in a configuration may have. None has a character that means something
// to a proxy.
type hosts struct {
	fits          *regexp.Regexp
	what, example string
}

var (
	anyHost     = hosts{regexp.MustCompile(`^[0-9A-Za-z._-]+$|^[0-9a-fA-F:]+$`), "a host", "127.0.0.1:8085"}
	serviceName = hosts{regexp.MustCompile(`^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`), "the name of a Service", "counterfoil:8085"} // RFC 1035 label
)

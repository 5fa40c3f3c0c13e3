package gateway

import (
	"embed"
	"fmt"
	"maps"
	"net"
	"slices"
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
// the gateway and of the service behind it; an empty one is left as a word in capitals.
func Snippet(proxy, gateway, upstream string) (string, error) {
	file, known := snippetFiles[proxy]
	if !known {
		return "", fmt.Errorf("no configuration for %q: want one of %s", proxy, strings.Join(slices.Sorted(maps.Keys(snippetFiles)), ", "))
	}
	text, err := snippets.ReadFile("snippets/" + file)
	if err != nil {
		return "", err
	}
	var pairs []string
	if gateway != "" {
		pairs = append(pairs, "http://GATEWAY", "http://"+gateway, "forward_auth GATEWAY", "forward_auth "+gateway, "@metadata GATEWAY", "@metadata "+gateway, "lua.counterfoil GATEWAY", "lua.counterfoil "+gateway)
		if host, port, err := net.SplitHostPort(gateway); err == nil {
			pairs = append(pairs, "address: GATEWAY, port_value: PORT", "address: \""+host+"\", port_value: "+port)
		}
	}
	if upstream != "" {
		pairs = append(pairs, "http://UPSTREAM", "http://"+upstream, "reverse_proxy UPSTREAM", "reverse_proxy "+upstream)
	}
	return strings.NewReplacer(pairs...).Replace(string(text)), nil
}

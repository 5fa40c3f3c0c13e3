package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/internal/config"
	"github.com/counterfoil/counterfoil/internal/ops"
)

// A wrong setting of the gateway stops its start before it asks the auth server anything.
func TestGatewaySettings(t *testing.T) {
	for text, want := range map[string]string{
		"":                                     "trusted_proxies is not set",
		"issuer: https://Auth.example.com":     "write https://auth.example.com",
		"sign_in: https://auth.example.com/x/": "sign_in is",
		"sign_in: auth.example.com":            "sign_in is",
	} {
		var c gatewaySettings
		where, err := c.loader().Load(config.Sources{File: file(t, "c.yaml", text)})
		if err == nil {
			err = c.check(where).Err()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// KEY-10: the gateway connects to addresses of a network of containers by name, and never to all.
func TestGatewayAddresses(t *testing.T) {
	const good = "issuer: https://auth.example.com\ntrusted_proxies: 127.0.0.1/32\n"
	for text, want := range map[string]string{
		"": "[]", "allow_addresses: 169.254.1.2": "[169.254.1.2/32]", "allow_addresses: [169.254.1.2, 10.0.2.0/24]": "[169.254.1.2/32 10.0.2.0/24]",
		"allow_addresses: 0.0.0.0/0": "want the network of the issuer", "allow_addresses: host": "want a network such as",
	} {
		var c gatewaySettings
		where, err := c.loader().Load(config.Sources{File: file(t, "c.yaml", good+text), Environ: []string{envPrefix + "API_KEY=key\r\n"}})
		if err == nil {
			err = c.check(where).Err()
		}
		if got := fmt.Sprint(ops.Networks(c.Allow)); err == nil && got != want || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %s, %v, want %s", text, got, err, want)
		}
	}
}

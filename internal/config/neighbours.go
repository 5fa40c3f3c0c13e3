package config

import (
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// neighbours are the names and values of variables that no operator wrote. Kubernetes gives every
// container the addresses of all Services in its namespace, and the links of Docker do the same.
// A Service called counterfoil, or counterfoil-redis, makes variables with our prefix.
var neighbours = []struct {
	name *regexp.Regexp
	fits func(value string) bool
}{
	{regexp.MustCompile(`_SERVICE_HOST$|_PORT_[0-9]+_(TCP|UDP|SCTP)_ADDR$`), isAddress},
	{regexp.MustCompile(`_SERVICE_PORT(_[A-Z0-9_]+)?$|_PORT_[0-9]+_(TCP|UDP|SCTP)_PORT$`), isPort},
	{regexp.MustCompile(`_PORT_[0-9]+_(TCP|UDP|SCTP)_PROTO$`), func(v string) bool { return v == "tcp" || v == "udp" || v == "sctp" }},
	{regexp.MustCompile(`_PORT(_[0-9]+_(TCP|UDP|SCTP))?$`), isEndpoint},
	{regexp.MustCompile(`_NAME$`), func(v string) bool { return strings.HasPrefix(v, "/") && strings.Count(v, "/") == 2 }}, // /container/alias
	{regexp.MustCompile(`_ENV_[A-Za-z0-9_]+$`), func(string) bool { return true }},                                         // what the other container has
}

// neighbour reports whether an orchestrator made the variable for a service next to this one.
func neighbour(name, value string) bool {
	for _, n := range neighbours {
		if n.name.MatchString(name) && n.fits(value) {
			return true
		}
	}
	return false
}

func isAddress(v string) bool {
	_, err := netip.ParseAddr(v)
	return err == nil || v == "None" // a Service without an address of its own
}

func isPort(v string) bool {
	_, err := strconv.ParseUint(v, 10, 16)
	return err == nil
}

func isEndpoint(v string) bool {
	u, err := url.Parse(v)
	return err == nil && (u.Scheme == "tcp" || u.Scheme == "udp" || u.Scheme == "sctp") && isAddress(u.Hostname()) && isPort(u.Port())
}

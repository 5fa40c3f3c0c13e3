package gateway

import (
	"cmp"
	"slices"

	"github.com/counterfoil/counterfoil/internal/resource"
)

// MetadataPath is where the gateway describes the resources that it protects (RFC 9728). The
// path of a resource follows. The proxy passes such a request on with the visitor's host.
const MetadataPath = resource.WellKnown

// longestNamed bounds the path that a challenge names, in bytes: a refusal must fit what nginx takes.
const longestNamed = 512

// resource returns the URL by which a client knows what it has asked for: metadata that a
// challenge leads to must have that very URL (RFC 9728 section 3.3). A path that cannot be
// named stands for its origin.
func (t *target) resource() string {
	if !resource.Plain(t.path) || t.path == "/" || len(t.path) > longestNamed {
		return t.origin
	}
	return t.origin + t.path
}

// describe returns the metadata of a resource of a host, or nil if nobody needs a credential for
// it: then no authorization server is of use.
func (g *Gateway) describe(host, path string) *resource.Metadata {
	routes := *g.routes.Load()
	for _, scheme := range []string{"https", "http"} {
		t := &target{}
		if err := t.parse(&question{scheme: scheme, host: host, uri: cmp.Or(path, "/")}); err != nil || routes[t.origin] == nil {
			continue
		}
		scopes, protected := routes.scopes(t, path == "")
		if !protected || path != "" && t.resource() != t.origin+path {
			return nil
		}
		return resource.New(t.origin+path, g.issuer, scopes)
	}
	return nil
}

// scopes returns those that a caller may need for t, or for any path of its origin.
func (all table) scopes(t *target, whole bool) (scopes []string, protected bool) {
	some := all[t.origin]
	if !whole {
		some = []*route{all.at(t.origin, t.path)}
	}
	for _, r := range some {
		if r != nil && !r.Anonymous {
			protected = true
			scopes = append(scopes, r.Scopes...)
		}
	}
	slices.Sort(scopes)
	return slices.Compact(scopes), protected
}

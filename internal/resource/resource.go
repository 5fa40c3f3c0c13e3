// Package resource describes a protected resource to OAuth clients (RFC 9728): who gives access
// to it, and how a token is sent. [MetadataURL] is where a client finds a [Metadata].
package resource

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/counterfoil/counterfoil/internal/urls"
)

// WellKnown is the path of the metadata of a resource that is a whole origin. That of a
// resource with a path follows (RFC 9728 section 3.1).
const WellKnown = "/.well-known/oauth-protected-resource"

// Metadata is the document of RFC 9728 section 2.
type Metadata struct {
	Resource string   `json:"resource"`
	Servers  []string `json:"authorization_servers"`
	Scopes   []string `json:"scopes_supported,omitempty"`
	Methods  []string `json:"bearer_methods_supported"`
}

// New returns the metadata of a resource to which the issuer gives access. A token comes in the
// Authorization header alone (RFC 6750 section 2.1): a URL with one would be in logs.
func New(resource, issuer string, scopes []string) *Metadata {
	return &Metadata{resource, []string{issuer}, scopes, []string{"header"}}
}

// Check refuses a URL that cannot be a resource here: an origin, with a path if it is a part of
// one, spelled as a client would send it.
func Check(resource string) error {
	origin, path := cut(resource)
	if _, err := urls.Origin(origin); err != nil {
		return err
	}
	if !Plain(path) || path == "/" {
		return fmt.Errorf("%q: want a path of letters, digits and -._~/, or none", path)
	}
	return nil
}

// Plain reports whether a path can be sent and quoted as it is.
func Plain(path string) bool {
	if path != "" && path[0] != '/' || strings.Contains(path, "//") {
		return false
	}
	for n := range len(path) {
		switch c := path[n]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '.', c == '_', c == '~', c == '/':
		default:
			return false
		}
	}
	return true
}

// MetadataURL returns the URL of the metadata of a resource that [Check] accepts.
func MetadataURL(resource string) string {
	origin, path := cut(resource)
	return origin + WellKnown + path
}

// Path returns the path of MetadataURL.
func Path(resource string) string {
	_, path := cut(resource)
	return WellKnown + path
}

func cut(resource string) (origin, path string) {
	scheme, rest, _ := strings.Cut(resource, "://")
	if slash := strings.IndexByte(rest, '/'); slash >= 0 {
		rest, path = rest[:slash], rest[slash:]
	}
	return scheme + "://" + rest, path
}

// Document returns m as JSON.
func (m *Metadata) Document() []byte {
	text, _ := json.Marshal(m) // strings alone
	return text
}

package counterfoil

import (
	"net/http"

	"github.com/counterfoil/counterfoil/internal/resource"
)

// ServeResourceMetadata tells OAuth clients where to get a token for this service (RFC 9728). It
// answers anybody, as GET /.well-known/oauth-protected-resource, which is followed by the path
// of Options.Resource if that has one. Without Options.Resource it answers 404.
func (v *Verifier) ServeResourceMetadata(w http.ResponseWriter, r *http.Request) {
	if v.metadata == "" || r.URL.Path != resource.Path(v.opts.Resource) {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "public, max-age=300")
	_, _ = w.Write(resource.New(v.opts.Resource, v.opts.Issuer, v.opts.ResourceScopes).Document())
}

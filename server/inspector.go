package server

import (
	"net/http"

	"github.com/counterfoil/counterfoil/inspect/inspector"
)

// pageInspector sends the inspector of tokens. It is the same for everybody, uses no route of this
// server, and has a policy of its own. The policy takes its origin away, and a browser shows no
// such page with a Cross-Origin-Opener-Policy.
func (s *Server) pageInspector(w http.ResponseWriter, _ *http.Request) error {
	public(w)
	h := w.Header()
	h.Set("Content-Security-Policy", inspector.Policy())
	h.Del("Cross-Origin-Opener-Policy")
	h.Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(inspector.HTML())
	return nil
}

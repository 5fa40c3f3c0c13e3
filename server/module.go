package server

import (
	"bytes"
	"net/http"
	"time"

	"github.com/counterfoil/counterfoil/client"
)

// modulePath is where pages without a build step import the browser client from.
const modulePath = "/client.js"

// pageModule sends the browser client. It is the same for everybody. A page of another origin can
// import it if a client lists that origin: no other page can use this server.
func (s *Server) pageModule(w http.ResponseWriter, r *http.Request) error {
	public(w)
	h := w.Header()
	h.Set("Content-Type", "text/javascript; charset=utf-8")
	h.Set("ETag", client.Tag())
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(client.Module()))
	return nil
}

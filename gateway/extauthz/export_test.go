package extauthz

import (
	"log/slog"
	"net/http"
)

// HandlerOf is the handler that asks h.
func HandlerOf(h http.Handler, log *slog.Logger) http.Handler { return handler(h, log) }

package server

import "net/http"

// routes is the whole table. A path that is known under another method answers
// 405; nothing that changes state is reachable by GET (CSRF-06).
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	for pattern, do := range map[string]action{
		// The caller's own account and sessions.
		"POST /v1/register":         s.register,
		"POST /v1/login":            s.login,
		"POST /v1/refresh":          s.refresh,
		"POST /v1/logout":           s.logout,
		"GET /v1/session":           s.session,
		"GET /v1/sessions":          s.sessions,
		"DELETE /v1/sessions/{sid}": s.endSession,
		"DELETE /v1/sessions":       s.endOthers,
		"POST /v1/password":         s.changePassword,

		// Administration, by API key or by a session with the role admin.
		"POST /v1/admin/sessions":    s.adminSession,
		"POST /v1/admin/revocations": s.adminRevoke,

		// Verifiers and other machines.
		"GET /v1/log":                                 s.feed,
		"POST /oauth/introspect":                      s.introspect,
		"POST /oauth/revoke":                          s.revokeToken,
		"GET /.well-known/jwks.json":                  s.jwks,
		"GET /.well-known/oauth-authorization-server": s.metadata,

		// Probes: alive; able to answer from the store.
		"GET /healthz": s.health,
		"GET /readyz":  s.ready,
	} {
		mux.Handle(pattern, s.api(do))
	}
	for pattern, do := range map[string]action{
		"GET /{$}":              s.pageHome,
		"GET /login":            s.pageLogin,
		"POST /login":           s.pageSignIn,
		"POST /logout":          s.pageSignOut,
		"GET /register":         s.pageRegister,
		"POST /register":        s.pageSignUp,
		"POST /sessions/revoke": s.pageRevoke,
		"POST /sessions/others": s.pageRevokeOthers,
		"POST /password":        s.pagePassword,
		"GET /static/style.css": s.pageStyle,
	} {
		mux.Handle(pattern, s.page(do))
	}
	return mux
}

package server

import (
	"net/http"

	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/rights"
)

// routes is the whole table, in five parts that answer errors each in its own way. A
// path that is known under another method answers 405; nothing that changes state is
// reachable by GET (CSRF-06).
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	for pattern, do := range s.apiRoutes() {
		mux.Handle(pattern, s.api(limited(maxBody, exact(pattern, do))))
	}
	for pattern, route := range s.adminRoutes() {
		mux.Handle(pattern, s.api(limited(maxAdminBody, exact(pattern, s.forAdmins(route)))))
	}
	for pattern, do := range s.oauthRoutes() {
		mux.Handle(pattern, s.oauth(limited(maxBody, do)))
	}
	for pattern, do := range s.pageRoutes() {
		mux.Handle(pattern, s.page(limited(maxBody, do)))
	}
	for pattern, do := range s.consoleRoutes() {
		mux.Handle(pattern, s.page(limited(maxBody, do)))
	}
	return s.misses(mux)
}

// apiRoutes answer JSON, and problems.
func (s *Server) apiRoutes() map[string]action {
	return map[string]action{
		// The caller's own account and sessions.
		"POST /v1/register":                         s.register,
		"POST /v1/invitations":                      s.redeem,
		"POST /v1/invitations/check":                s.checkInvitation,
		"POST /v1/login":                            s.login,
		"POST /v1/login/continue":                   s.continueLogin,
		"POST /v1/refresh":                          s.refresh,
		"POST /v1/logout":                           s.logout,
		"GET /v1/session":                           s.session,
		"POST /v1/session/step-up":                  s.stepUp,
		"GET /v1/csrf":                              s.csrf,
		"GET /v1/sessions":                          s.sessions,
		"DELETE /v1/sessions/{sid}":                 s.endSession,
		"DELETE /v1/sessions/{sid}/grants/{client}": s.endGrant,
		"DELETE /v1/sessions/{sid}/hosts/{host}":    s.endHost,
		"DELETE /v1/sessions":                       s.endOthers,
		"DELETE /v1/notices/{id}":                   s.dismissNotice,
		"GET /v1/activity":                          s.activity,
		"POST /v1/password":                         s.changePassword,
		"POST /v1/recovery":                         s.recover,
		"POST /v1/recovery/code":                    s.recoveryCode,
		"GET /v1/address":                           s.address,
		"POST /v1/address":                          s.askAddress,
		"POST /v1/address/confirm":                  s.confirmAddress,
		"POST /v1/address/undo":                     s.undoAddress,

		// Verifiers and other machines.
		"GET /v1/log":                s.feed,
		"POST /v1/handover":          s.redeemCode,
		"POST /v1/push/{id}":         s.push,
		"GET /.well-known/jwks.json": s.jwks,
		"GET " + metadataPath:        s.metadata,
		"GET /openapi.json":          s.openapi,

		// Probes: alive; able to answer from the store.
		"GET /healthz": s.health,
		"GET /readyz":  s.ready,
	}
}

// oauthRoutes answer errors as RFC 6749 writes them.
func (s *Server) oauthRoutes() map[string]action {
	return map[string]action{
		"POST /oauth/token":      s.token,
		"POST /oauth/introspect": s.introspect,
		"POST /oauth/revoke":     s.revokeToken,
	}
}

// pageRoutes are for people.
func (s *Server) pageRoutes() map[string]action {
	return map[string]action{
		"GET /{$}":                s.pageHome,
		"GET /login":              s.pageLogin,
		"POST /login":             s.pageSignIn,
		"POST /login/continue":    s.pageContinue,
		"POST /logout":            s.pageSignOut,
		"GET /register":           s.pageRegister,
		"POST /register":          s.pageSignUp,
		"GET /welcome":            s.pageWelcome,
		"POST /welcome":           s.pageChoose,
		"POST /session/step-up":   s.pageStepUp,
		"POST /sessions/revoke":   s.pageRevoke,
		"POST /sessions/others":   s.pageRevokeOthers,
		"POST /password":          s.pagePassword,
		"GET /forgot":             s.pageForgot,
		"POST /forgot":            s.pageRecover,
		"POST /forgot/code":       s.pageRecoveryCode,
		"GET /address":            s.pageAddress,
		"POST /address":           s.pageAskAddress,
		"POST /address/code":      s.pageAddressCode,
		"GET /address/confirm":    s.pageConfirm,
		"POST /address/confirm":   s.pageConfirmed,
		"GET /address/undo":       s.pageUndo,
		"POST /address/undo":      s.pageUndone,
		"POST /notices/dismiss":   s.pageDismiss,
		"GET /password":           s.pageChange,
		"GET /activity":           s.pageActivity,
		"GET /apps":               s.pageApps,
		"GET " + handoverPath:     s.pageHandover,
		"GET " + changePasswordAt: s.pageChangeAt,
		"GET /choose":             s.pageAdvice,
		"GET /inspector":          s.pageInspector,
		"GET /favicon.ico":        s.pageIcon,
		"GET /static/style.css":   s.pageStyle,
		"GET /brand/logo":         s.pageLogo,
		"GET /static/console.js":  s.pageStatic,
		"GET /static/page.js":     s.pageStatic,
		"GET /static/welcome.js":  s.pageStatic,
		"GET " + modulePath:       s.pageModule,
		"POST /language":          s.pageLanguage,

		"GET " + statusPath:           s.pageStatus,
		"GET " + statusPath + ".json": s.statusForPrograms,
		"GET " + statusPath + ".atom": s.statusFeed,
		"GET /status/badge/{file}":    s.statusBadge,
	}
}

// adminRoutes is the one table of which right each action of the administration needs.
// LocalAdmin serves them as well.
func (s *Server) adminRoutes() map[string]adminRoute {
	return map[string]adminRoute{
		"GET /v1/admin/users":                     {right: rights.Read, do: s.adminUsers},
		"POST /v1/admin/users":                    {right: rights.Write, do: s.adminCreateUser},
		"POST /v1/admin/users/import":             {right: rights.Write, do: s.adminImportUsers},
		"GET /v1/admin/users/{id}":                {right: rights.Read, do: s.adminUser},
		"PATCH /v1/admin/users/{id}":              {right: rights.Write, do: s.adminChangeUser},
		"DELETE /v1/admin/users/{id}":             {right: rights.Write, do: s.adminDeleteUser},
		"POST /v1/admin/users/{id}/invitations":   {right: rights.Write, do: s.adminInvite},
		"POST /v1/admin/users/{id}/impersonation": {right: rights.Write, do: s.adminImpersonate},
		"DELETE /v1/admin/users/{id}/undos":       {right: rights.Write, do: s.adminEndUndos},
		"GET /v1/admin/users/{id}/sessions":       {right: rights.Read, do: s.adminUserSessions},
		"DELETE /v1/admin/users/{id}/sessions":    {right: rights.Revoke, do: s.adminEndUserSessions},

		"GET /v1/admin/sessions":          {right: rights.Read, do: s.adminSessions},
		"POST /v1/admin/sessions":         {right: rights.Write, do: s.adminCreateSession, scope: directory.ScopeSessions},
		"GET /v1/admin/sessions/{sid}":    {right: rights.Read, do: s.adminSession},
		"DELETE /v1/admin/sessions/{sid}": {right: rights.Revoke, do: s.adminEndSession},
		"POST /v1/admin/revocations":      {right: rights.Write, do: s.adminRevoke},
		"GET /v1/admin/revocations":       {right: rights.Read, do: s.adminWouldEnd},
		"GET /v1/admin/revocations/{id}":  {right: rights.Read, do: s.adminRevocation},

		"GET /v1/admin/clients":         {right: rights.Read, do: s.adminClients},
		"GET /v1/admin/clients/{id}":    {right: rights.Read, do: s.adminClient},
		"PUT /v1/admin/clients/{id}":    {right: rights.Write, do: s.adminSetClient},
		"DELETE /v1/admin/clients/{id}": {right: rights.Write, do: s.adminDeleteClient},

		"GET /v1/admin/keys":            {right: rights.Read, do: whole(s.adminKeys)},
		"POST /v1/admin/keys/rotate":    {right: rights.Write, do: s.adminRotate},
		"GET /v1/admin/apikeys":         {right: rights.Read, do: s.adminAPIKeys},
		"POST /v1/admin/apikeys":        {right: rights.Write, do: s.adminCreateAPIKey},
		"GET /v1/admin/apikeys/{id}":    {right: rights.Read, do: s.adminAPIKey},
		"DELETE /v1/admin/apikeys/{id}": {right: rights.Write, do: s.adminDeleteAPIKey},
		"GET /v1/admin/outbox":          {right: rights.Read, do: s.adminOutbox},

		"GET /v1/admin/outbox/{id}":            {right: rights.Read, do: s.adminLetter},
		"POST /v1/admin/outbox/{id}/redeliver": {right: rights.Write, do: s.adminRedeliver},
		"DELETE /v1/admin/outbox/{id}":         {right: rights.Write, do: s.adminDropLetter},

		"GET /v1/admin/monitor":                       {right: rights.Read, do: s.watched(s.adminMonitor)},
		"GET /v1/admin/monitor/checks/{name}":         {right: rights.Read, do: s.watched(s.adminCheck)},
		"GET /v1/admin/monitor/checks/{name}/results": {right: rights.Read, do: s.watched(s.adminResults)},
		"PUT /v1/admin/monitor/checks/{name}/mute":    {right: rights.Write, do: s.watched(s.adminMute)},
		"DELETE /v1/admin/monitor/checks/{name}/mute": {right: rights.Write, do: s.watched(s.adminUnmute)},
		"POST /v1/admin/monitor/channels/{name}/test": {right: rights.Write, do: s.watched(s.adminTestChannel)},
		"GET /v1/admin/monitor/incidents":             {right: rights.Read, do: s.watched(s.adminIncidents)},
		"POST /v1/admin/monitor/incidents":            {right: rights.Write, do: s.watched(s.adminAnnounce)},
		"GET /v1/admin/monitor/incidents/{id}":        {right: rights.Read, do: s.watched(s.adminIncident)},
		"POST /v1/admin/monitor/incidents/{id}/notes": {right: rights.Write, do: s.watched(s.adminNote)},

		"GET /v1/admin/verifiers":     {right: rights.Read, do: s.adminVerifiers},
		"GET /v1/admin/settings":      {right: rights.Read, do: s.adminSettings},
		"GET /v1/admin/stats":         {right: rights.Read, do: s.adminStats},
		"GET /v1/admin/log/events":    {right: rights.Read, do: s.adminLogEvents},
		"GET /v1/admin/audit":         {right: rights.Audit, do: s.adminAudit},
		"POST /v1/admin/audit/verify": {right: rights.Audit, do: s.adminVerifyAudit},
	}
}

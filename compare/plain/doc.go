// Package plain has sessions and JWTs as a good engineer writes them without Counterfoil, with
// the usual libraries: alexedwards/scs for sessions, golang-jwt for JWTs, go-jose for JWEs.
// Package compare measures them beside our own carriers. Keys are loaded once, connections are
// pooled, statements are prepared, and each parser is configured once and strictly.
//
// Call [OpenStore] for a database, [NewSessions] for server-side sessions and [NewTokens] for
// JWTs. Each has a Require method, which guards a handler as [counterfoil.Verifier.Require]
// does. The package knows nothing of Counterfoil, and no program should use it to sign people
// in: it has no login.
//
// [counterfoil.Verifier.Require]: https://pkg.go.dev/github.com/counterfoil/counterfoil#Verifier.Require
package plain

import (
	"context"
	"net/http"
)

// subjectKey is where Require puts the subject of a request.
type subjectKey struct{}

// Subject returns who sent a request that a Require let through.
func Subject(ctx context.Context) string {
	s, _ := ctx.Value(subjectKey{}).(string)
	return s
}

// admit calls next for subject.
func admit(next http.Handler, w http.ResponseWriter, r *http.Request, subject string) {
	next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), subjectKey{}, subject)))
}

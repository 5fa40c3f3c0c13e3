package e2e_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

var carriers = []string{"cookie", "bearer", "jwt-cookie", "jwe"}

// The promise, on the real program: login, call, refresh, call, revoke by each
// target, refused; and how long that takes. A session that nobody revoked is
// never refused, and one that was refused stays refused.
func TestRevokedWithinMilliseconds(t *testing.T) {
	for _, store := range []string{"memory", "sqlite"} {
		t.Run(store, func(t *testing.T) {
			p := start(t, "--store", store, "--data", t.TempDir())
			for _, carrier := range carriers {
				control := p.login("control", carrier, "control")
				var took []time.Duration
				for round := range 30 {
					for _, scope := range []string{"session", "subject"} {
						took = append(took, p.round(carrier, scope, fmt.Sprintf("%s-%s-%d", scope, carrier, round)))
					}
					if got := p.call(control); got != http.StatusOK {
						t.Fatalf("%s: a session that nobody revoked gets %d", carrier, got)
					}
				}
				for _, scope := range []string{"token", "client", "key", "all"} {
					if carrier == "cookie" && (scope == "token" || scope == "key") || carrier == "jwe" && scope == "token" {
						continue // an opaque id has neither, and a JWE hides its token id
					}
					took = append(took, p.round(carrier, scope, scope+"-"+carrier))
					if scope == "all" || scope == "key" {
						p.signInAdmin()
					}
				}
				slices.Sort(took)
				at := func(q float64) time.Duration { return took[int(q*float64(len(took)-1))].Round(10 * time.Microsecond) }
				verdict := "met"
				if at(0.99) > 50*time.Millisecond {
					verdict = "missed"
				}
				t.Logf("%-6s %-10s n=%d first refusal after revoke returned: p50 %v, p99 %v, max %v (bar p99 50ms: %s)",
					store, carrier, len(took), at(0.5), at(0.99), took[len(took)-1].Round(10*time.Microsecond), verdict)
			}
		})
	}
}

func (p *program) signInAdmin() {
	p.t.Helper()
	var got holder
	p.post("/v1/login", map[string]any{"identifier": "admin", "password": demoPassword, "carrier": "bearer"}, "", &got)
	p.admin = got.Access
}

// round revokes one new session by scope, and returns how long it was still accepted.
func (p *program) round(carrier, scope, subject string) time.Duration {
	p.t.Helper()
	h := p.login(subject, carrier, "app")
	if got := p.call(h); got != http.StatusOK {
		p.t.Fatalf("%s: a new session gets %d\n%s", carrier, got, p.output)
	}
	if h.Refresh != "" {
		old := h.Refresh
		p.refresh(h)
		if h.Refresh == old {
			p.t.Fatalf("%s: the refresh token was not rotated", carrier)
		}
		if got := p.call(h); got != http.StatusOK {
			p.t.Fatalf("%s: a refreshed session gets %d", carrier, got)
		}
	}
	id := map[string]string{"session": h.Session.ID, "subject": subject, "client": "app"}[scope]
	if scope == "token" || scope == "key" {
		id = p.inside(h)[scope]
	}
	p.post("/v1/admin/revocations", map[string]any{"scope": scope, "id": id}, p.admin, nil)
	returned := time.Now()
	took := p.refused(h).Sub(returned)
	for range 3 {
		if got := p.call(h); got != http.StatusUnauthorized {
			p.t.Fatalf("%s: accepted (%d) after it was refused", carrier, got)
		}
	}
	if h.Refresh != "" && scope != "token" && scope != "key" {
		if status, _, err := p.try("/v1/refresh", map[string]any{"refresh_token": h.Refresh, "client": h.client}, ""); err != nil || status != http.StatusUnauthorized {
			p.t.Errorf("%s: refresh after revoking the %s = %d, %v, want 401", carrier, scope, status, err)
		}
	}
	return took
}

// inside returns the token and key ids that a JWT, or the header of a JWE, shows.
func (p *program) inside(h *holder) map[string]string {
	p.t.Helper()
	var claims struct{ Kid, Jti string }
	for _, part := range strings.Split(h.Access, ".")[:2] {
		raw, err := base64.RawURLEncoding.DecodeString(part)
		if err == nil && len(raw) > 0 {
			err = json.Unmarshal(raw, &claims)
		}
		if err != nil {
			p.t.Fatal(err)
		}
	}
	// The key that encrypts is named after the one that signs, and a salt.
	kid, _, _ := strings.Cut(claims.Kid, "-")
	return map[string]string{"token": claims.Jti, "key": kid}
}

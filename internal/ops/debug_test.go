package ops

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/internal/secret"
)

const opsToken = "0123456789abcdef0123456789abcdef"

func newOps(token string, public bool) http.Handler {
	answer := func(status int) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
	}
	pages := map[string]http.Handler{"GET /debug/page": answer(http.StatusOK)}
	return opsHandler(NewMetrics(nil), pages, answer(http.StatusNoContent), secret.New(token), public)
}

func ask(h http.Handler, path string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", "http://127.0.0.1:9464"+path, nil)
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
			continue
		}
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestOpsGuard(t *testing.T) { // OPS-07
	local := newOps("", false)
	remote := newOps(opsToken, true)
	for _, path := range []string{"/metrics", "/debug/pprof/", "/debug/pprof/goroutine?debug=2", "/debug/pprof/cmdline", "/debug/page"} {
		for name, c := range map[string]struct {
			handler http.Handler
			header  []string
			want    int
		}{
			"loopback":                       {local, nil, 200},
			"loopback by name":               {local, []string{"Host", "localhost:9464"}, 200},
			"a name bound to 127.0.0.1":      {local, []string{"Host", "evil.test"}, 403},
			"another site's page":            {local, []string{"Sec-Fetch-Site", "cross-site"}, 403},
			"another port's page":            {local, []string{"Sec-Fetch-Site", "same-site"}, 403},
			"the address bar":                {local, []string{"Sec-Fetch-Site", "none"}, 200},
			"no token":                       {remote, nil, 401},
			"another token":                  {remote, []string{"Authorization", "Bearer " + opsToken + "0"}, 401},
			"the token as another scheme":    {remote, []string{"Authorization", "Basic " + opsToken}, 401},
			"an empty token":                 {remote, []string{"Authorization", "Bearer "}, 401},
			"the token":                      {remote, []string{"Authorization", "Bearer " + opsToken, "Host", "node7:9464"}, 200},
			"bearer in lower case, spaces":   {remote, []string{"Authorization", "bearer   " + opsToken}, 200},
			"the token from another's page":  {remote, []string{"Authorization", "Bearer " + opsToken, "Sec-Fetch-Site", "cross-site"}, 403},
			"loopback without Host is no go": {local, []string{"Host", ""}, 403},
		} {
			want := c.want
			if c.handler == local && strings.HasPrefix(path, "/debug/pprof/") {
				want = 403
			}
			if got := ask(c.handler, path, c.header...); got.Code != want {
				t.Errorf("%s from %s = %d, want %d", path, name, got.Code, want)
			}
		}
	}
	// Profiles show what is in the memory of the process. Every user of the machine can reach
	// loopback, so they are for who has the token.
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/goroutine?debug=2", "/debug/pprof/cmdline", "/debug/pprof/profile", "/debug/pprof/symbol", "/debug/pprof/trace", "/debug/pprof/heap"} {
		if got := ask(local, path); got.Code != http.StatusForbidden || !strings.Contains(got.Body.String(), "ops_token") {
			t.Errorf("%s without a token in the settings = %d %s, want 403 and what to do", path, got.Code, got.Body)
		}
	}
	if got := ask(newOps(opsToken, false), "/debug/pprof/", "Authorization", "Bearer "+opsToken); got.Code != http.StatusOK {
		t.Errorf("profiles with the token = %d", got.Code)
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		if got := ask(remote, path); got.Code != http.StatusNoContent {
			t.Errorf("%s = %d, want the probe's answer", path, got.Code)
		}
	}
}

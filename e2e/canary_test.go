package e2e_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// canaries has secrets by name. Each is unique, so finding it in an output of the program
// means that it leaked.
type canaries struct {
	mu  sync.Mutex
	all map[string][]string
}

// plant makes a new secret.
func (c *canaries) plant(name string) string {
	s := fmt.Sprintf("canary %s %s", name, rand.Text())
	c.keep(name, s)
	return s
}

// keep adds a secret that the program made. Each part of a token is a secret, except the
// header.
func (c *canaries) keep(name, secret string) {
	if secret == "" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	parts := strings.Split(secret, ".")
	if len(parts) < 3 {
		c.all[fmt.Sprintf("%s %d", name, len(c.all))] = spellings(secret)
		return
	}
	for i, part := range parts[1:] {
		if len(part) > 20 {
			c.all[fmt.Sprintf("%s part %d %d", name, i+1, len(c.all))] = spellings(part)
		}
	}
}

// spellings returns a secret, unchanged and in several encodings.
func spellings(s string) []string {
	all := []string{
		s, url.QueryEscape(s), url.PathEscape(s), hex.EncodeToString([]byte(s)),
		strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(s)), "="), base64.RawURLEncoding.EncodeToString([]byte(s)),
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// search looks for each secret in data, except those whose name begins with except.
func (c *canaries) search(t *testing.T, where string, data []byte, except ...string) {
	t.Helper()
	for name, all := range c.all {
		if len(except) > 0 && strings.HasPrefix(name, except[0]) {
			continue
		}
		for _, text := range all {
			if i := bytes.Index(data, []byte(text)); i >= 0 {
				t.Errorf("%s contains %q: …%q…", where, name, data[max(0, i-120):min(len(data), i+20)])
				break
			}
		}
	}
}

// command runs the program to its end.
func command(t *testing.T, out *output, env []string, stdin string, args ...string) string {
	t.Helper()
	cmd := exec.Command(binary, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdin, cmd.Stderr = strings.NewReader(stdin), out
	stdout, err := cmd.Output()
	if err != nil {
		t.Fatalf("counterfoil %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(stdout))
}

// startPlain runs "serve" without a demo, and waits until it listens.
func startPlain(t *testing.T, out *output, env []string, args ...string) (p *program, ops string) {
	t.Helper()
	p = &program{t: t, output: out, cmd: exec.Command(binary, append([]string{"serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"}, args...)...)}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	const last = `"msg":"ops listening"`
	before := strings.Count(out.String(), last) // out may have had another program
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	out.await(t, last, before+1)
	for line := range strings.Lines(out.String()) {
		var entry struct{ Msg, Address string }
		if json.Unmarshal([]byte(line), &entry) != nil {
			continue
		}
		switch entry.Msg {
		case "listening":
			p.url = "http://" + entry.Address
		case "ops listening":
			ops = "http://" + entry.Address
		}
	}
	return p, ops
}

// canaryRun is one run of the canary test.
type canaryRun struct {
	*canaries
	*program
	calls    int
	statuses map[int]int
}

// send makes a call and keeps the credentials of its answer. It searches an error answer for
// secrets. Any status is fine, except 500.
func (c *canaryRun) send(method, path, contentType, body string, header ...string) (int, []byte, []*http.Cookie) {
	c.t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, c.url+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	if r.Header.Get("X-Forwarded-For") == "" { // another address for each call, because one address would be throttled
		r.Header.Set("X-Forwarded-For", fmt.Sprintf("192.0.2.%d", c.calls%250+1))
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(r)
	if err != nil {
		c.t.Fatalf("%s %s: %v\n%s", method, path, err, c.output)
	}
	defer res.Body.Close()
	var from io.Reader = res.Body
	if res.Header.Get("Content-Type") == "text/event-stream" { // it goes on for minutes
		from = io.LimitReader(from, 30) // less than its first event has
	}
	answer, err := io.ReadAll(from)
	if err != nil {
		c.t.Fatal(err)
	}
	var tokens struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
		Key     string `json:"key"`
		Secret  string `json:"secret"`
		Token   string `json:"token"`
	}
	_ = json.Unmarshal(answer, &tokens)
	for name, secret := range map[string]string{"access": tokens.Access, "refresh": tokens.Refresh, "key": tokens.Key, "secret": tokens.Secret, "token": tokens.Token} {
		c.keep(name+" of "+path, secret)
	}
	for _, cookie := range res.Cookies() {
		c.keep("cookie "+cookie.Name+" of "+path, cookie.Value)
	}
	c.calls++
	c.statuses[res.StatusCode]++
	if res.StatusCode >= 400 {
		// The answer may show the form again, with the identifier that the user typed.
		c.search(c.t, fmt.Sprintf("the answer %d to %s %s", res.StatusCode, method, path), answer, "member identifier")
	}
	if res.StatusCode == http.StatusInternalServerError {
		c.t.Errorf("%s %s %s = 500 %s", method, path, contentType, answer)
	}
	return res.StatusCode, answer, res.Cookies()
}

const jsonType, formType = "application/json", "application/x-www-form-urlencoded"

// routes has the routes that a client can call. allRoutes adds those of the API document.
var routes = []string{
	"POST /v1/register", "POST /v1/login", "POST /v1/refresh", "POST /v1/logout", "GET /v1/session", "GET /v1/sessions",
	"DELETE /v1/sessions/{sid}", "DELETE /v1/sessions", "POST /v1/password", "GET /v1/csrf",
	"POST /v1/invitations", "GET /v1/admin/users", "POST /v1/admin/users", "GET /v1/admin/users/{id}", "PATCH /v1/admin/users/{id}", "DELETE /v1/admin/users/{id}",
	"POST /v1/admin/users/{id}/invitations", "GET /v1/admin/users/{id}/sessions", "DELETE /v1/admin/users/{id}/sessions",
	"POST /v1/admin/sessions", "GET /v1/admin/sessions/{sid}", "DELETE /v1/admin/sessions/{sid}", "POST /v1/admin/revocations",
	"GET /v1/admin/clients", "GET /v1/admin/clients/{id}", "PUT /v1/admin/clients/{id}", "DELETE /v1/admin/clients/{id}",
	"GET /v1/admin/keys", "POST /v1/admin/keys/rotate", "GET /v1/admin/apikeys", "POST /v1/admin/apikeys", "DELETE /v1/admin/apikeys/{id}", "GET /v1/admin/audit",
	"GET /v1/log", "POST /oauth/introspect", "POST /oauth/revoke", "POST /oauth/token",
	"GET /.well-known/jwks.json", "GET /.well-known/oauth-authorization-server", "GET /healthz", "GET /readyz", "GET /openapi.json",
	"GET /", "GET /login", "POST /login", "POST /logout", "GET /register", "POST /register", "POST /sessions/revoke", "POST /sessions/others",
	"POST /session/step-up", "POST /password", "GET /password", "GET /.well-known/change-password", "GET /welcome", "GET /static/style.css", "GET /static/welcome.js", "GET /{secret}", "POST /v1/{secret}",
}

// allRoutes returns routes, and the further routes of the API document.
func (c *canaryRun) allRoutes() []string {
	all := slices.Clone(routes)
	status, doc, _ := c.send("GET", "/openapi.json", "", "")
	var api struct {
		Paths map[string]map[string]any `json:"paths"`
	}
	if status == http.StatusOK {
		if err := json.Unmarshal(doc, &api); err != nil {
			c.t.Fatalf("/openapi.json: %v", err)
		}
	}
	for path, methods := range api.Paths {
		for method := range methods {
			if route := strings.ToUpper(method) + " " + path; len(method) <= 6 && !slices.Contains(all, route) {
				all = append(all, route)
			}
		}
	}
	slices.Sort(all)
	return all
}

// abuse calls one route in every way that puts a secret into it.
func (c *canaryRun) abuse(route, live string) {
	method, path, _ := strings.Cut(route, " ")
	for strings.Contains(path, "{") {
		before, rest, _ := strings.Cut(path, "{")
		_, after, _ := strings.Cut(rest, "}")
		path = before + url.PathEscape(c.plant("path")) + after
	}
	members := map[string]string{"client": "app", "carrier": "bearer"}
	for _, name := range []string{"identifier", "password", "current", "next", "refresh_token", "refresh_nonce", "token", "subject", "id", "client_secret", "invitation"} {
		members[name] = c.plant("member " + name)
	}
	form := url.Values{}
	for name, value := range members {
		form.Set(name, value)
	}
	some := func(names ...string) string {
		part := map[string]string{}
		for _, name := range names {
			part[name] = members[name]
		}
		return c.json(part)
	}
	query := path + "?access_token=" + url.QueryEscape(c.plant("query")) + "&token=" + url.QueryEscape(c.plant("query token"))
	origin := []string{"Origin", c.url}
	with := func(header ...string) []string { return append(slices.Clone(origin), header...) }
	for _, body := range []string{
		c.json(members), some("identifier", "password"), some("current", "next"), some("refresh_token", "refresh_nonce"), some("token"), some("subject", "carrier"),
		`{"password":"` + c.plant("cut off"), `{"password":["` + c.plant("wrong type") + `"]}`,
	} {
		c.send(method, path, jsonType, body, origin...)
		c.send(method, path, jsonType, body, with("Authorization", "Bearer "+live)...)
	}
	c.send(method, path, formType, form.Encode(), origin...)
	c.send(method, path, formType, form.Encode(), with("Authorization", "Bearer "+live)...)
	c.send(method, path, "text/plain", c.plant("text"), origin...)
	c.send(method, path, jsonType, `{"password":"`+strings.Repeat(c.plant("large"), 2000)+`"}`, origin...)
	c.send(method, query, jsonType, "{}", with("Referer", "https://a.test/?t="+url.QueryEscape(c.plant("referer")))...)
	for _, header := range [][]string{
		{"Authorization", "Bearer " + c.junk(3)}, {"Authorization", "Bearer " + c.junk(5)}, {"Authorization", "Bearer " + c.junk(1)[:43]},
		{"Authorization", c.plant("scheme") + " x"}, {"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("app:"+c.plant("basic")))},
		{"Authorization", "Bearer " + c.plant("first"), "Authorization", "Bearer " + c.plant("second")},
		{"Cookie", "cf=" + c.junk(1) + "; cf_refresh=" + c.junk(1) + "; __Host-Http-cf=" + c.junk(3)},
		{"X-Forwarded-For", c.plant("forwarded"), "Forwarded", "for=" + c.plant("forwarded 2")},
		{"X-Request-Id", c.plant("request id"), "Counterfoil-Min-Cursor", c.plant("cursor")},
	} {
		c.send(method, path, jsonType, "{}", with(header...)...)
	}
}

func (c *canaryRun) json(value any) string {
	c.t.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		c.t.Fatal(err)
	}
	return string(data)
}

// junk returns a text in the form of a token, whose parts are secrets.
func (c *canaryRun) junk(parts int) string {
	var all []string
	for range parts {
		s := base64.RawURLEncoding.EncodeToString([]byte(c.plant("junk token")))
		c.keep("junk token, encoded", s)
		all = append(all, s)
	}
	return strings.Join(all, ".")
}

// searchOps searches the pages of the operations listener.
func (c *canaryRun) searchOps(ops, token string) {
	c.t.Helper()
	for _, path := range []string{
		"/metrics", "/debug/revocation", "/debug/pprof/cmdline", "/debug/pprof/goroutine?debug=2", "/debug/pprof/heap?debug=1", "/debug/pprof/allocs?debug=1", "/debug/pprof/mutex?debug=1", "/debug/pprof/",
	} {
		r, err := http.NewRequestWithContext(c.t.Context(), "GET", ops+path, nil)
		if err != nil {
			c.t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			c.t.Fatal(err)
		}
		page, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || res.StatusCode != http.StatusOK {
			c.t.Fatalf("%s = %d, %v", path, res.StatusCode, err)
		}
		c.search(c.t, path, page)
	}
}

// searchStore searches the files of the SQLite store in the folder data.
func (c *canaryRun) searchStore(data string) {
	c.t.Helper()
	files, err := filepath.Glob(filepath.Join(data, "counterfoil.db*"))
	if err != nil || len(files) == 0 {
		c.t.Fatalf("store: %v, %v", files, err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			c.t.Fatal(err)
		}
		c.search(c.t, filepath.Base(file), content)
	}
}

// people does what users do, by each carrier, so that the program handles real secrets.
func (c *canaryRun) people(key string) {
	for _, carrier := range carriers {
		who, pass, next := "user-"+carrier, c.plant("password of "+carrier), c.plant("next password of "+carrier)
		login := func(password string) (answer holder, cookies string) {
			body := fmt.Sprintf(`{"identifier":%q,"password":%q,"carrier":%q}`, who, password, carrier)
			status, data, set := c.send("POST", "/v1/login", jsonType, body)
			if status != http.StatusOK {
				c.t.Fatalf("login by %s = %d %s", carrier, status, data)
			}
			if err := json.Unmarshal(data, &answer); err != nil {
				c.t.Fatal(err)
			}
			for _, k := range set {
				cookies += k.Name + "=" + k.Value + "; "
			}
			return answer, cookies
		}
		if status, data, _ := c.send("POST", "/v1/register", jsonType, fmt.Sprintf(`{"identifier":%q,"password":%q}`, who, pass)); status != http.StatusCreated {
			c.t.Fatalf("register = %d %s", status, data)
		}
		got, cookies := login(pass)
		auth := []string{"Authorization", "Bearer " + got.Access}
		if got.Access == "" {
			auth = []string{"Cookie", cookies, "Origin", c.url}
		}
		for _, path := range []string{"/v1/session", "/v1/sessions", "/"} {
			c.send("GET", path, "", "", auth...)
		}
		if got.Access != "" {
			for _, path := range []string{"/oauth/introspect", "/oauth/revoke"} {
				c.send("POST", path, formType, url.Values{"token": {got.Access}}.Encode(), "Authorization", "Bearer "+key)
			}
			got, _ = login(pass)
			auth[1] = "Bearer " + got.Access
		}
		refresh := `{"refresh_token":"` + got.Refresh + `"}`
		for range 3 { // the third is a reuse: the successor was already used
			_, data, _ := c.send("POST", "/v1/refresh", jsonType, refresh, auth...)
			var again holder
			_ = json.Unmarshal(data, &again)
			c.send("POST", "/v1/refresh", jsonType, `{"refresh_token":"`+again.Refresh+`"}`)
		}
		got, cookies = login(pass)
		if auth = []string{"Authorization", "Bearer " + got.Access}; got.Access == "" {
			auth = []string{"Cookie", cookies, "Origin", c.url}
		}
		c.send("POST", "/v1/password", jsonType, fmt.Sprintf(`{"current":%q,"next":%q}`, c.plant("wrong password"), next), auth...)
		c.send("POST", "/v1/password", jsonType, fmt.Sprintf(`{"current":%q,"next":%q}`, pass, next), auth...)
		c.send("POST", "/v1/logout", jsonType, "", auth...)
		c.send("POST", "/v1/login", jsonType, fmt.Sprintf(`{"identifier":%q,"password":%q}`, who, c.plant("wrong password")))
	}
}

// flood provokes the answers that only an overloaded server gives.
func (c *canaryRun) flood() {
	pass := c.plant("flood")
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			body := strings.NewReader(`{"identifier":"root","password":"` + pass + `"}`)
			if res, err := http.Post(c.url+"/v1/login", jsonType, body); err == nil {
				_ = res.Body.Close()
			}
		})
	}
	wg.Wait()
}

// OPS-01, SES-02: the test sends unique secrets to every endpoint, in every place where a
// secret can be, at log level debug. No output of the program contains one: neither its logs,
// metrics, profiles, debug pages and stack dump, nor its store.
func TestNoSecretLeaks(t *testing.T) {
	t.Parallel()
	c := &canaryRun{canaries: &canaries{all: map[string][]string{}}, statuses: map[int]int{}}
	data := t.TempDir()
	out := &output{}
	opsToken := rand.Text() + rand.Text() // a header carries it, so it has letters and digits alone
	c.keep("ops token", opsToken)
	env := []string{"COUNTERFOIL_DATA=" + data, "COUNTERFOIL_OPS_TOKEN=" + opsToken, "COUNTERFOIL_LOG_LEVEL=debug", "COUNTERFOIL_REGISTRATION=true", "COUNTERFOIL_TRUSTED_PROXIES=127.0.0.0/8"}
	shared := rand.Text() + rand.Text()
	c.keep("hmac secret", shared)
	env = append(env, "COUNTERFOIL_ALGORITHM=HS256", "COUNTERFOIL_HMAC_SECRET="+shared)
	adminPass := c.plant("admin password")
	command(t, out, env, adminPass+"\n", "user", "add", "root", "--role", "admin")
	key := command(t, out, env, "", "key", "create", "--client", "service", "--scope", "admin")
	c.keep("API key", key)
	seal, err := os.ReadFile(filepath.Join(data, "counterfoil.key"))
	if err != nil {
		t.Fatal(err)
	}
	c.keep("sealing key", string(seal))
	c.search(t, "config print", []byte(command(t, out, env, "", "config", "print")+command(t, out, env, "", "config", "print", "--json")))

	var ops string
	c.program, ops = startPlain(t, out, env)
	c.t = t
	c.people(key)
	for _, route := range c.allRoutes() {
		c.abuse(route, key)
	}
	c.flood()
	for _, args := range [][]string{{"audit", "--limit", "200"}, {"audit", "--limit", "200", "--json"}, {"user", "list"}, {"apikey", "list"}, {"session", "list", "root"}} {
		c.search(t, strings.Join(args, " "), []byte(command(t, out, env, "", args...)))
	}
	c.searchOps(ops, opsToken)
	invited := command(t, out, env, "", "user", "invite", "root", "--json")
	var made struct{ Token string }
	if err := json.Unmarshal([]byte(invited), &made); err != nil {
		t.Fatal(err)
	}
	c.keep("invitation", made.Token)
	// SIGQUIT makes the runtime dump every stack and end the program.
	if err := c.cmd.Process.Signal(syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	_ = c.cmd.Wait()
	printed := out.String()
	if !strings.Contains(printed, `"level":"DEBUG"`) || !strings.Contains(printed, "goroutine 1 ") || !strings.Contains(printed, `"msg":"audit"`) {
		t.Error("the output lacks debug lines, audit lines or the stack dump: the test searches too little")
	}
	c.search(t, "the program's output", []byte(printed))
	c.searchStore(data)
	t.Logf("%d secrets in %d calls, answered %v; %d bytes of output", len(c.all), c.calls, c.statuses, len(out.String()))
}

package olddata

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/counterfoil/counterfoil/source"
)

var makeRevision = flag.String("make", "", "revision whose program writes a new fixture")

const (
	issuerURL = "https://auth.example.com"
	words     = "four words make one"
)

// lifetimes of the fixture. Sessions live a year, because a test may run much later. Copies
// live a quarter of an hour.
var lifetimes = []string{"--idle", "8760h", "--absolute", "8760h", "--access-ttl", "15m", "--refresh-grace", "1s"}

// TestMake writes a new fixture. Without -make it does nothing.
func TestMake(t *testing.T) {
	if *makeRevision == "" {
		return
	}
	program := build(t, *makeRevision)
	for _, engine := range engines {
		t.Run(engine.name, func(t *testing.T) {
			data := t.TempDir()
			dump, place := engine.start(t)
			m := &maker{t: t, data: data}
			stop := m.run(program, append([]string{"--data", data}, place...))
			m.fill()
			stop()
			m.held.Made = time.Now().UTC().Truncate(time.Second)
			into := filepath.Join("testdata", *makeRevision, engine.name)
			m.keep(into)
			dump(into)
		})
	}
}

// build builds the program of a revision, in its own worktree.
func build(t *testing.T, revision string) string {
	t.Helper()
	dir := t.TempDir()
	source, program := filepath.Join(dir, "source"), filepath.Join(dir, "counterfoil")
	command(t, "", "git", "worktree", "add", "--detach", source, revision)
	t.Cleanup(func() { command(t, "", "git", "worktree", "remove", "--force", source) })
	command(t, source, "go", "build", "-o", program, "./cmd/counterfoil")
	return program
}

func command(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// maker uses a running program as its users, clients and administrators do.
type maker struct {
	t    *testing.T
	data string
	held held

	public string // address of the listener
	calls  int
	local  *http.Client
}

// run starts the program, and returns a function that stops it.
func (m *maker) run(program string, place []string) (stop func()) {
	m.t.Helper()
	args := append([]string{"serve", "--listen", "127.0.0.1:0", "--ops-listen", "off", "--issuer", issuerURL, "--trusted-proxies", "127.0.0.0/8"}, lifetimes...)
	cmd := exec.Command(program, append(args, place...)...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		m.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { _ = cmd.Process.Kill() }) // for a test that fails before stop
	lines := bufio.NewScanner(stderr)
	for m.public == "" && lines.Scan() {
		var line struct{ Msg, Address string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "listening" {
			m.public = line.Address
		}
	}
	go func() { _, _ = io.Copy(io.Discard, stderr) }()
	m.local = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(m.data, "counterfoil.sock"))
	}}}
	return func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			m.t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			m.t.Fatal(err)
		}
	}
}

// admin calls the administration API over the socket.
func (m *maker) admin(method, path string, body, into any) {
	m.t.Helper()
	m.call(m.local, "http://local", method, path, body, nil, into)
}

// call sends JSON, and returns the cookies of the answer.
func (m *maker) call(client *http.Client, base, method, path string, body any, cookies []*http.Cookie, into any) []*http.Cookie {
	m.t.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		m.t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(m.t.Context(), method, base+path, bytes.NewReader(data))
	if err != nil {
		m.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "Fixture/1")
	m.calls++
	r.Header.Set("X-Forwarded-For", fmt.Sprintf("198.51.100.%d", m.calls)) // another address for each call, because one address may not sign in so often
	for _, c := range cookies {
		r.AddCookie(c)
		r.Header.Set("Origin", issuerURL)
	}
	res, err := client.Do(r)
	if err != nil {
		m.t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode/100 != 2 {
		m.t.Fatalf("%s %s = %d %s, %v", method, path, res.StatusCode, answer, err)
	}
	if into != nil {
		if err := json.Unmarshal(answer, into); err != nil {
			m.t.Fatal(err)
		}
	}
	return res.Cookies()
}

// issued answers a login and a refresh.
type issued struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	Session struct {
		ID      string   `json:"id"`
		Subject string   `json:"subject"`
		Client  string   `json:"client"`
		Carrier string   `json:"carrier"`
		Roles   []string `json:"roles"`
		Scopes  []string `json:"scopes"`
	} `json:"session"`
}

// take fills s from an answer and its cookies.
func (s *session) take(is issued, cookies []*http.Cookie) {
	s.ID, s.Subject, s.Client, s.Carrier = is.Session.ID, is.Session.Subject, is.Session.Client, is.Session.Carrier
	s.Roles, s.Scopes = is.Session.Roles, is.Session.Scopes
	s.Access, s.Refresh = is.Access, is.Refresh
	for _, c := range cookies {
		switch c.Name {
		case source.CookieName:
			s.Access = c.Value
		case source.RefreshCookieName:
			s.Refresh = c.Value
		}
	}
}

// login signs in a user with the password.
func (m *maker) login(name, identifier, carrier string, more ...string) *session {
	m.t.Helper()
	body := map[string]string{"identifier": identifier, "password": words, "carrier": carrier}
	for n := 0; n < len(more); n += 2 {
		body[more[n]] = more[n+1]
	}
	var is issued
	cookies := m.call(http.DefaultClient, "http://"+m.public, "POST", "/v1/login", body, nil, &is)
	s := session{Name: name}
	s.take(is, cookies)
	m.held.Sessions = append(m.held.Sessions, s)
	return m.held.the(name)
}

// refresh gets the next copy of s.
func (m *maker) refresh(s *session) {
	m.t.Helper()
	s.Used = s.Refresh
	var is issued
	cookies := m.call(http.DefaultClient, "http://"+m.public, "POST", "/v1/refresh", map[string]string{"refresh_token": s.Refresh, "client": s.Client}, nil, &is)
	s.take(is, cookies)
}

// user adds a user. The user chooses a password, unless invited is true: then the user has
// only an invitation.
func (m *maker) user(identifier string, invited bool, roles ...string) {
	m.t.Helper()
	var made struct {
		User       struct{ ID string }
		Invitation struct{ Token string }
	}
	m.admin("POST", "/v1/admin/users", map[string]any{"identifier": identifier, "name": strings.ToUpper(identifier[:1]) + identifier[1:], "roles": append([]string{}, roles...)}, &made)
	p := person{ID: made.User.ID, Identifier: identifier, Roles: roles, State: "active"}
	if invited {
		m.held.Welcome = made.Invitation.Token
	} else {
		p.Password = words
		m.call(http.DefaultClient, "http://"+m.public, "POST", "/v1/invitations", map[string]string{"token": made.Invitation.Token, "password": words}, nil, nil)
	}
	m.held.Users = append(m.held.Users, p)
}

// revoke revokes by scope.
func (m *maker) revoke(scope, id string) {
	m.t.Helper()
	m.admin("POST", "/v1/admin/revocations", map[string]string{"scope": scope, "id": id, "reason": "fixture"}, nil)
}

// fill makes the contents of the fixture.
func (m *maker) fill() {
	m.registry()
	m.people()
	m.sessions()
	m.endings()
	var trail struct{ Entries []any }
	m.admin("GET", "/v1/admin/audit?limit=200", nil, &trail)
	m.held.Audit = len(trail.Entries)
	m.held.Clients = map[string]map[string]any{}
	var clients struct{ Clients []map[string]any }
	m.admin("GET", "/v1/admin/clients", nil, &clients)
	for _, c := range clients.Clients {
		m.held.Clients[c["id"].(string)] = c
	}
}

// registry makes clients and API keys.
func (m *maker) registry() {
	private, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		m.t.Fatal(err)
	}
	point := private.PublicKey().Bytes() // 4, x, y
	b64 := base64.RawURLEncoding.EncodeToString
	for id, settings := range map[string]map[string]any{
		"app": {"name": "The app", "carriers": []string{"bearer", "jwe", "jwt-cookie"}, "audience": []string{"https://api.example.com"},
			"scopes": []string{"read", "write"}, "origins": []string{"https://app.example.com"}, "same_site": "strict"},
		"sealed": {"name": "Opens its own", "carriers": []string{"jwe"}, "encryption_key": map[string]string{
			"kty": "EC", "crv": "P-256", "x": b64(point[1:33]), "y": b64(point[33:]), "kid": "fixture", "use": "enc", "alg": "ECDH-ES"}},
		"till":   {"name": "The till"},
		"closed": {"name": "Disabled", "disabled": true},
	} {
		m.admin("PUT", "/v1/admin/clients/"+id, settings, nil)
	}
	for client, scopes := range map[string][]string{"operator": {"admin"}, "gateway": {"revocation:read", "introspect"}, "portal": {"sessions:create"}} {
		var made struct{ Key string }
		m.admin("POST", "/v1/admin/apikeys", map[string]any{"client": client, "scopes": scopes}, &made)
		m.held.Keys = append(m.held.Keys, apiKey{client, scopes, made.Key})
	}
}

// people makes users of every kind.
func (m *maker) people() {
	m.user("alice", false, "admin", "staff")
	for _, name := range []string{"bob", "carol", "erin", "gina", "hal", "ivy", "jack"} {
		m.user(name, false, "staff")
	}
	m.user("dave", true)
	hash, err := bcrypt.GenerateFromPassword([]byte(words), 10)
	if err != nil {
		m.t.Fatal(err)
	}
	var done struct {
		Results []struct{ Status, ID string }
	}
	m.admin("POST", "/v1/admin/users/import", map[string]any{"users": []any{map[string]any{"identifier": "frank", "password_hash": string(hash)}}}, &done)
	m.held.Users = append(m.held.Users, person{ID: done.Results[0].ID, Identifier: "frank", Password: words, State: "active"})
}

// sessions makes sessions by every carrier, which stay alive.
func (m *maker) sessions() {
	for _, carrier := range []string{"cookie", "bearer", "jwt-cookie", "jwe", "jwe-cookie"} {
		m.login("bob by "+carrier, "bob", carrier)
	}
	m.login("alice", "alice", "bearer")
	m.login("app", "bob", "bearer", "client", "app", "scope", "read")
	m.login("app by jwt-cookie", "bob", "jwt-cookie", "client", "app")
	m.login("sealed", "bob", "jwe", "client", "sealed")
	m.refresh(m.login("refreshed", "ivy", "bearer"))
	m.login("copy revoked", "ivy", "bearer").Stale = true
	m.revoke("token", tokenID(m.t, m.held.the("copy revoked").Access))

	var is issued
	m.admin("POST", "/v1/admin/sessions", map[string]any{"subject": "machine-7", "carrier": "bearer", "client": "app", "roles": []string{"robot"}}, &is)
	m.held.Sessions = append(m.held.Sessions, session{Name: "elsewhere"})
	m.held.the("elsewhere").take(is, nil)
}

// endings ends sessions in every way. After an ending that permits it, a user signs in again.
func (m *maker) endings() {
	end := func(name, identifier, carrier string, more ...string) *session {
		s := m.login(name, identifier, carrier, more...)
		s.Ended = true
		return s
	}
	m.revoke("session", end("erin by cookie", "erin", "cookie").ID)
	m.revoke("session", end("erin by bearer", "erin", "bearer").ID)

	end("gina before", "gina", "bearer")
	end("gina's cookie before", "gina", "cookie")
	m.revoke("subject", m.held.as("gina").ID)
	m.login("gina after", "gina", "bearer")
	m.login("gina's cookie after", "gina", "cookie")

	end("till before", "bob", "bearer", "client", "till")
	m.revoke("client", "till")
	m.login("till after", "bob", "bearer", "client", "till")

	s := end("reused", "hal", "bearer")
	first := s.Refresh
	m.refresh(s)
	m.refresh(s)
	m.reuse(first) // two behind the good one, so no grace covers it; the reuse leaves a notice for hal

	end("carol", "carol", "bearer")
	end("carol by cookie", "carol", "cookie")
	m.admin("PATCH", "/v1/admin/users/"+m.held.as("carol").ID, map[string]string{"status": "disabled"}, nil)
	m.held.as("carol").State = "disabled"
	end("jack", "jack", "jwt-cookie")
	m.admin("DELETE", "/v1/admin/users/"+m.held.as("jack").ID, nil, nil)
	m.held.as("jack").State = "deleted"
}

// reuse presents a refresh token a second time.
func (m *maker) reuse(refresh string) {
	m.t.Helper()
	res, err := http.PostForm("http://"+m.public+"/oauth/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}})
	if err != nil {
		m.t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode/100 == 2 {
		m.t.Fatal("a refresh token works twice")
	}
}

// tokenID returns the jti of a JWT.
func tokenID(t *testing.T, access string) string {
	t.Helper()
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(access, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims struct{ JTI string }
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	return claims.JTI
}

// keep writes the data folder of the program, and held.json.
func (m *maker) keep(into string) {
	m.t.Helper()
	if err := os.RemoveAll(into); err != nil {
		m.t.Fatal(err)
	}
	if err := os.MkdirAll(into, 0o755); err != nil {
		m.t.Fatal(err)
	}
	head, err := os.ReadFile(filepath.Join(m.data, "counterfoil.head"))
	if err != nil {
		m.t.Fatal(err)
	}
	m.held.Head = strings.TrimSpace(string(head))
	text, err := json.MarshalIndent(&m.held, "", "\t")
	if err != nil {
		m.t.Fatal(err)
	}
	write(m.t, filepath.Join(into, "held.json"), append(text, '\n'))
	for _, name := range []string{"counterfoil.db", "counterfoil.key"} {
		data, err := os.ReadFile(filepath.Join(m.data, name))
		if err == nil {
			write(m.t, filepath.Join(into, name), data)
		} else if !os.IsNotExist(err) {
			m.t.Fatal(err)
		}
	}
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// dumpPostgres writes the output of pg_dump.
func dumpPostgres(t *testing.T, dsn, into string) {
	t.Helper()
	sql := command(t, "", "pg_dump", "--inserts", "--no-owner", "--no-privileges", "--dbname", dsn)
	write(t, filepath.Join(into, "postgres.sql"), []byte(sql))
}

// dumpRedis writes each key with the answer to DUMP, both in base64.
func dumpRedis(t *testing.T, addr, into string) {
	t.Helper()
	client := redisClient(t, addr)
	names, err := client.Do(t.Context(), client.B().Keys().Pattern("*").Build()).AsStrSlice()
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	var out bytes.Buffer
	for _, name := range names {
		value, err := client.Do(t.Context(), client.B().Dump().Key(name).Build()).AsBytes()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "%s %s\n", base64.StdEncoding.EncodeToString([]byte(name)), base64.StdEncoding.EncodeToString(value))
	}
	write(t, filepath.Join(into, "redis.dump"), out.Bytes())
}

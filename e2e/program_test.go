// Package e2e_test runs the real program and uses it as its users do.
package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/testsvc"
)

var binary string

// hung is when a test gives up: whatever it waits for would have come. It ends only what hangs, so it is long: on a busy
// machine a page, a password or a start takes many times as long as alone.
const hung = 2 * time.Minute

func TestMain(m *testing.M) {
	slog.SetLogLoggerLevel(slog.LevelError) // of issuers in this process: their audit log would hide what a test says
	dir, err := os.MkdirTemp("", "counterfoil-e2e")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "counterfoil")
	if out, err := exec.Command("go", "build", "-C", "..", "-o", binary, "./cmd/counterfoil").CombinedOutput(); err != nil {
		panic(fmt.Sprintf("build: %v\n%s", err, out))
	}
	code := testsvc.Run(m)
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

const demoPassword = "correct horse battery staple"

// program is a running "serve --demo".
type program struct {
	t       *testing.T
	cmd     *exec.Cmd
	url     string // of the auth server
	service string // of the sample service
	admin   string // an API key of the administration
	output  *output
}

// output keeps everything that the program prints.
type output struct {
	mu    sync.Mutex
	buf   bytes.Buffer
	wrote chan struct{} // closed at the next Write; nil: nobody waits
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.wrote != nil {
		close(o.wrote)
		o.wrote = nil
	}
	return o.buf.Write(p)
}

// await returns when the program has printed a text n times.
func (o *output) await(t *testing.T, text string, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), hung)
	defer cancel()
	for {
		o.mu.Lock()
		if bytes.Count(o.buf.Bytes(), []byte(text)) >= n {
			o.mu.Unlock()
			return
		}
		if o.wrote == nil {
			o.wrote = make(chan struct{})
		}
		wrote := o.wrote
		o.mu.Unlock()
		select {
		case <-wrote:
		case <-ctx.Done():
			t.Fatalf("%q is not printed %d times:\n%s", text, n, o)
		}
	}
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

func start(t *testing.T, args ...string) *program {
	t.Helper()
	return startAt(t, "127.0.0.1:0", args...)
}

// startAt starts the program at an address that it may have had before.
func startAt(t *testing.T, listen string, args ...string) *program {
	t.Helper()
	p := &program{t: t, output: &output{}}
	p.cmd = exec.Command(binary, append([]string{"serve", "--demo", "--listen", listen, "--demo-listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"}, args...)...)
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stderr = p.output
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	lines := bufio.NewScanner(io.TeeReader(stdout, p.output))
	for p.url == "" || p.service == "" {
		if !lines.Scan() {
			t.Fatalf("the program ended:\n%s", p.output)
		}
		if rest, ok := strings.CutPrefix(strings.TrimSpace(lines.Text()), "sign in:"); ok {
			p.url = strings.TrimSuffix(strings.TrimSpace(rest), "/login")
		}
		if rest, ok := strings.CutPrefix(strings.TrimSpace(lines.Text()), "sample service:"); ok {
			p.service = strings.TrimSpace(rest)
		}
	}
	go func() { _, _ = io.Copy(p.output, stdout) }()
	p.becomeAdmin()
	for _, client := range []string{"app", "control"} {
		p.register(client)
	}
	return p
}

// becomeAdmin makes an API key for the administration: no revocation of a session or of a signing
// key ends it. The administrator signs in on the page, and from there for the console, whose tokens
// open the administration.
func (p *program) becomeAdmin() {
	p.t.Helper()
	_, cookies := p.adminLogin(map[string]any{"carrier": "cookie"})
	for _, c := range cookies {
		if c.Name == "cf" {
			p.set("console", `{"opens":"administration"}`, "Cookie", "cf="+c.Value, "Origin", p.origin())
		}
	}
	console, _ := p.adminLogin(map[string]any{"carrier": "bearer", "client": "console"})
	var made struct{ Key string }
	p.post("/v1/admin/apikeys", map[string]any{"client": "e2e", "scopes": []string{"admin"}}, console.Access, &made)
	p.admin = made.Key
}

func (p *program) adminLogin(body map[string]any) (got holder, cookies []*http.Cookie) {
	p.t.Helper()
	body["identifier"], body["password"] = "admin", demoPassword
	for {
		res, answer, err := p.send("POST", "/v1/login", body)
		if err == nil && res.StatusCode == http.StatusTooManyRequests {
			<-time.After(time.Second)
			continue
		}
		if err != nil || res.StatusCode != http.StatusOK || json.Unmarshal(answer, &got) != nil {
			p.t.Fatalf("the administrator's login = %s, %v\n%s", answer, err, p.output)
		}
		return got, res.Cookies()
	}
}

// origin is that of the server's pages.
func (p *program) origin() string {
	scheme, rest, _ := strings.Cut(p.url, "://")
	host, _, _ := strings.Cut(rest, "/")
	return scheme + "://" + host
}

// register makes a client for the logins of a test, whose tokens open the account.
func (p *program) register(client string) {
	p.t.Helper()
	p.set(client, `{"opens":"account"}`, "Authorization", "Bearer "+p.admin)
}

func (p *program) set(client, settings string, header ...string) {
	p.t.Helper()
	res, answer, err := p.send("PUT", "/v1/admin/clients/"+client, json.RawMessage(settings), header...)
	if err != nil || res.StatusCode != http.StatusOK {
		p.t.Fatalf("set client %s = %s, %v", client, answer, err)
	}
}

// fails runs the program, which must fail. It returns its output and exit code.
func fails(t *testing.T, env []string, args ...string) (string, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), hung)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Fatalf("counterfoil %s succeeded:\n%s", strings.Join(args, " "), out)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

func (p *program) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// post sends JSON with a bearer token, and fails the test unless the answer is a 2xx.
func (p *program) post(path string, body any, bearer string, into any) {
	p.t.Helper()
	status, answer, err := p.try(path, body, bearer)
	if err != nil || status/100 != 2 {
		p.t.Fatalf("POST %s = %d %s, %v\n%s", path, status, answer, err, p.output)
	}
	if into != nil {
		if err := json.Unmarshal(answer, into); err != nil {
			p.t.Fatal(err)
		}
	}
}

func (p *program) try(path string, body any, bearer string) (status int, answer []byte, err error) {
	var header []string
	if bearer != "" {
		header = []string{"Authorization", "Bearer " + bearer}
	}
	res, answer, err := p.send("POST", path, body, header...)
	if err != nil {
		return 0, nil, err
	}
	return res.StatusCode, answer, nil
}

// send sends JSON, or with nil nothing, and reads the whole answer.
func (p *program) send(method, path string, body any, header ...string) (res *http.Response, answer []byte, err error) {
	var data []byte
	if body != nil {
		if data, err = json.Marshal(body); err != nil {
			return nil, nil, err
		}
	}
	r, err := http.NewRequestWithContext(context.Background(), method, p.url+path, bytes.NewReader(data))
	if err != nil {
		return nil, nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	if res, err = http.DefaultClient.Do(r); err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	answer, err = io.ReadAll(res.Body)
	return res, answer, err
}

// holder has the credentials of a client after a login.
type holder struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	Session struct {
		ID      string `json:"id"`
		Subject string `json:"subject"`
	} `json:"session"`
	carrier string
	client  string
}

// login makes a session without a password, so that argon2 takes no time.
func (p *program) login(subject, carrier, client string) *holder {
	p.t.Helper()
	h := &holder{carrier: carrier, client: client}
	p.post("/v1/admin/sessions", map[string]any{"subject": subject, "carrier": carrier, "client": client}, p.admin, h)
	return h
}

// refresh gets the next copy, as cookies if the carrier uses cookies.
func (p *program) refresh(h *holder) {
	p.t.Helper()
	if h.carrier != "jwt-cookie" {
		p.post("/v1/refresh", map[string]any{"refresh_token": h.Refresh, "client": h.client}, "", h)
		return
	}
	body := fmt.Sprintf(`{"client":%q}`, h.client)
	r, err := http.NewRequestWithContext(context.Background(), "POST", p.url+"/v1/refresh", strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Origin", p.origin())
	r.AddCookie(&http.Cookie{Name: "cf_rt", Value: h.Refresh})
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	for _, c := range res.Cookies() {
		switch c.Name {
		case "cf":
			h.Access = c.Value
		case "cf_rt":
			h.Refresh = c.Value
		}
	}
}

// call calls the sample service with the credential of h, and returns the status.
func (p *program) call(h *holder) int {
	p.t.Helper()
	return p.get(p.service, h)
}

func (p *program) get(url string, h *holder) int {
	p.t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), "GET", url, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	if strings.HasSuffix(h.carrier, "cookie") {
		r.AddCookie(&http.Cookie{Name: "cf", Value: h.Access})
	} else {
		r.Header.Set("Authorization", "Bearer "+h.Access)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode
}

// refused calls the sample service until it refuses h, and returns the time of the refusal.
// The test fails if that takes longer than D.
func (p *program) refused(h *holder) time.Time {
	p.t.Helper()
	const d = 10 * time.Second
	for begun := time.Now(); time.Since(begun) < d; {
		switch status := p.call(h); status {
		case http.StatusUnauthorized:
			return time.Now()
		case http.StatusOK:
		default:
			p.t.Fatalf("sample service answers %d\n%s", status, p.output)
		}
	}
	p.t.Fatalf("%s is accepted %v after its revocation", h.carrier, d)
	return time.Time{}
}

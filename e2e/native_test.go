package e2e_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// native runs examples/native against a real server, through a proxy that loses answers.
type native struct {
	t        *testing.T
	program  *program
	binary   string
	keychain string
	proxy    string

	asked     atomic.Int32
	refreshes atomic.Int32 // that came to the proxy
	lose      atomic.Int32 // so many answers to a refresh do not come back
	away      atomic.Bool  // the auth server answers 503
	stray     atomic.Int32 // the proxy itself answers with that status; 0: it does not
	lost      func()       // called when an answer was lost; nil: nothing
}

func newNative(t *testing.T) *native {
	n := &native{t: t, program: start(t, "--trusted-proxies", "127.0.0.1/32"), binary: filepath.Join(t.TempDir(), "native"), keychain: filepath.Join(t.TempDir(), "app", "keychain.json")}
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-C", "../examples/native", "-o", n.binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	target, err := url.Parse(n.program.url)
	if err != nil {
		t.Fatal(err)
	}
	through := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Header.Set("X-Forwarded-For", fmt.Sprint("198.51.100.", n.asked.Add(1)%250)) // each request comes from another network
	}}
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("another server is sent %s %s", r.Method, r.URL)
	}))
	t.Cleanup(other.Close)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if status := int(n.stray.Load()); status != 0 {
			w.Header().Set("Location", other.URL+r.URL.Path)
			w.WriteHeader(status)
			return
		}
		if n.away.Load() {
			w.Header().Set("Retry-After", "60")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		// A token that is used is in the file already.
		if token, found := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); found && n.kept()["access_token"] != token {
			t.Errorf("%s comes with a token that is not in the file", r.URL)
		}
		if r.URL.Path != "/v1/refresh" {
			through.ServeHTTP(w, r)
			return
		}
		n.refreshes.Add(1)
		if n.lose.Add(-1) < 0 {
			through.ServeHTTP(w, r)
			return
		}
		answer := httptest.NewRecorder()
		through.ServeHTTP(answer, r)
		if answer.Code != http.StatusOK {
			t.Errorf("the refresh whose answer is lost = %d %s", answer.Code, answer.Body)
		}
		if n.lost != nil {
			n.lost()
		}
		panic(http.ErrAbortHandler) // the connection ends without an answer
	}))
	t.Cleanup(web.Close)
	n.proxy = web.URL
	return n
}

// kept is what is in the file.
func (n *native) kept() (all map[string]string) {
	data, err := os.ReadFile(n.keychain)
	if err == nil {
		err = json.Unmarshal(data, &all)
	}
	if err != nil {
		n.t.Error(err)
	}
	return all
}

// expire has the access token expire.
func (n *native) expire() {
	n.t.Helper()
	kept := n.kept()
	kept["expires"] = "2020-01-01T00:00:00Z"
	data, err := json.Marshal(kept)
	if err = errors.Join(err, os.WriteFile(n.keychain, data, 0o600)); err != nil {
		n.t.Fatal(err)
	}
	n.refreshes.Store(0)
}

func (n *native) command(input string, args ...string) (cmd *exec.Cmd, out *bytes.Buffer) {
	cmd = exec.CommandContext(n.t.Context(), n.binary, append([]string{"-issuer", n.proxy, "-keychain", n.keychain}, args...)...)
	out = new(bytes.Buffer)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), out, out
	return cmd, out
}

// says runs the program, which must end with a code and say a text.
func (n *native) says(code int, text, input string, args ...string) {
	n.t.Helper()
	cmd, out := n.command(input, args...)
	err := cmd.Run()
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != code || !strings.Contains(out.String(), text) {
		n.t.Fatalf("native %v: %v\n%s\nwant the code %d and %q", args, err, out, code, text)
	}
}

// atOnce starts ten processes, and returns when all have ended, with how many of them did well.
func (n *native) atOnce() (well int) {
	n.t.Helper()
	type started struct {
		cmd *exec.Cmd
		out *bytes.Buffer
	}
	var all []started
	for range 10 {
		cmd, out := n.command("")
		if err := cmd.Start(); err != nil {
			n.t.Fatal(err)
		}
		all = append(all, started{cmd, out})
	}
	killed := make(chan struct{})
	n.lost = sync.OnceFunc(func() {
		for _, s := range all {
			_ = s.cmd.Process.Kill()
		}
		close(killed)
	})
	if n.lose.Load() > 0 {
		<-killed
	}
	for _, s := range all {
		if err := s.cmd.Wait(); err == nil {
			well++
		} else if n.lose.Load() < 0 && s.cmd.ProcessState.ExitCode() >= 0 {
			n.t.Errorf("%v\n%s", err, s.out)
		}
	}
	n.lost = nil
	return well
}

// REF-03: nobody is signed out by lost answers, kills, outages or ten processes at once; and whose
// session was revoked is.
func TestNativeClient(t *testing.T) {
	t.Parallel()
	n := newNative(t)
	n.says(1, "the password is wrong", "alice\nnot hers at all\n")
	n.says(0, `"carrier":"bearer"`, "alice\n"+demoPassword+"\n")
	subject := `"client":"default"`
	info, err := os.Stat(n.keychain)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}

	n.expire()
	n.lose.Store(2)
	n.says(0, subject, "")
	if got := n.refreshes.Load(); got != 3 {
		t.Errorf("%d attempts to refresh, want 3: two answers were lost", got)
	}

	n.expire()
	if well, got := n.atOnce(), n.refreshes.Load(); well != 10 || got != 1 {
		t.Errorf("%d of ten processes did well, with %d refreshes, want 10 with 1", well, got)
	}

	n.expire()
	n.lose.Store(1)
	n.atOnce() // all are killed when the answer is lost
	if well := n.atOnce(); well != 10 {
		t.Errorf("%d of ten processes did well after ten were killed", well)
	}

	n.expire()
	before := n.kept()["refresh_token"]
	n.away.Store(true)
	n.says(4, "answers 503", "")
	n.says(4, "answers 503", "", "sign-out")
	n.away.Store(false)
	for _, status := range []int{http.StatusUnauthorized, http.StatusTemporaryRedirect} {
		n.stray.Store(int32(status))
		n.says(1, fmt.Sprint("answers ", status), "")
		n.says(1, fmt.Sprint("answers ", status), "", "sign-out")
	}
	n.stray.Store(0)
	if n.kept()["refresh_token"] != before {
		t.Error("an outage changed the file")
	}
	n.says(0, subject, "")

	alice := n.kept()["access_token"]
	var me struct{ Subject string }
	n.ask(alice, http.StatusOK, &me)
	n.program.post("/v1/admin/revocations", map[string]any{"scope": "subject", "id": me.Subject}, n.program.admin, nil)
	n.says(5, "nobody is signed in", "")
	if kept := n.kept(); kept["refresh_token"] != "" || kept["access_token"] != "" || kept["device"] == "" {
		t.Errorf("after a revocation there is %v", kept)
	}

	n.says(0, subject, "alice\n"+demoPassword+"\n")
	last := n.kept()["access_token"]
	n.says(0, "", "", "sign-out")
	n.ask(last, http.StatusUnauthorized, nil)
	n.says(5, "nobody is signed in", "")
}

// ask asks the server itself who holds a token.
func (n *native) ask(token string, want int, into any) {
	n.t.Helper()
	res, body, err := n.program.send("GET", "/v1/session", nil, "Authorization", "Bearer "+token)
	if err != nil || res.StatusCode != want {
		n.t.Fatalf("GET /v1/session = %s, %v, want %d", body, err, want)
	}
	if into != nil {
		if err := json.Unmarshal(body, into); err != nil {
			n.t.Fatal(err)
		}
	}
}

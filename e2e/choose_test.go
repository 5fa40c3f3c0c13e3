package e2e_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/counterfoil/counterfoil/choose"
	"github.com/counterfoil/counterfoil/internal/testsvc"
)

// A person answers the questions of /choose with the keyboard alone, with JavaScript and without,
// and gets a recommendation. The page before and after keeps the rules of every page, and axe finds
// nothing.
func TestChoosePage(t *testing.T) {
	t.Parallel()
	axe := axeSource(t)
	url := start(t).url + "/choose"
	for _, l := range append([]look{{"phone-small-light", 360, false, true}}, looks...) {
		t.Run(l.name, func(t *testing.T) {
			b := newBrowser(t, l)
			look := func(name string) {
				t.Helper()
				b.inspect("choose-" + name + "-" + l.name)
				if l.script {
					b.axe(axe, name)
				}
			}
			b.do(chromedp.Navigate(url))
			look("questions")
			b.tabThrough("questions")

			b.do(chromedp.Navigate(url))
			for range 4 { // over the link to the content and the name to the first question: pages, spa
				b.do(chromedp.KeyEvent(kb.Tab))
			}
			b.do(chromedp.KeyEvent(" "), chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(kb.Tab))
			b.do(chromedp.KeyEvent(kb.ArrowDown), chromedp.KeyEvent(kb.ArrowDown)) // of the second question
			b.do(chromedp.KeyEvent(kb.Enter))
			b.until(`location.search.startsWith("?clients=pages&clients=spa&servers=services&sites=one-host&") && document.querySelector(".advice")`)
			if text := b.text(); !strings.Contains(text, "Carrier of single-page apps") || !strings.Contains(text, "jwt-cookie") {
				t.Errorf("the page says %s", text)
			}
			look("advice")
			b.do(chromedp.Evaluate[chromedp.Void](`document.querySelectorAll("details").forEach((e) => e.open = true)`))
			look("advice-open")
			b.tabThrough("advice")
		})
	}
}

// The server starts with the configuration that choose writes, and each command that it names works
// as it stands: those of every rule are among them.
func TestChoiceStartsAndItsCommandsWork(t *testing.T) {
	t.Parallel()
	tried := make(map[string]bool)
	for _, flags := range []string{
		"--clients=pages,mobile,machines --servers=services",
		"--clients=pages,spa,mobile,machines --sites=one-site --claims=hidden",
		"--clients=spa --sites=one-host --revocation=expiry --users=millions",
	} {
		_, commands := chosen(t, testsvc.FreeAddress(t), strings.Fields(flags)...)
		for _, c := range commands {
			tried[c] = true
		}
	}
	for _, topic := range choose.Topics {
		for _, rule := range topic.Rules {
			for _, c := range rule.Commands {
				if !tried[c] {
					t.Errorf("%s: %q was not tried", rule.ID, c)
				}
			}
		}
	}
}

// The key that choose names for a single-page app at another host is enough for one gateway to sign
// people in there and to call the API with a token.
func TestChoiceOfAGatewayWithTokens(t *testing.T) {
	t.Parallel()
	const alicePassword = "four words make one"
	address, at := testsvc.FreeAddress(t), testsvc.FreeAddress(t)
	dir, commands := chosen(t, address, "--clients=spa", "--sites=several-sites")
	if len(commands) == 0 {
		t.Fatal("no command")
	}
	here := "http://" + strings.Replace(at, "127.0.0.1", "localhost", 1)
	env := []string{"COUNTERFOIL_DATA=" + dir}
	command(t, new(output), env, alicePassword, "user", "add", "alice")
	command(t, new(output), env, "", "client", "set", "web", "--origin", here)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		fmt.Fprint(w, scheme)
	}))
	t.Cleanup(api.Close)
	routes := filepath.Join(dir, "routes.yaml")
	text := fmt.Sprintf("routes:\n  - {origin: %q, prefix: /, upstreams: [%q], bff: api}\n", here, api.URL)
	if err := os.WriteFile(routes, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(filepath.Join(dir, "bff.key"))
	if err != nil {
		t.Fatal(err)
	}
	listen(t, gatewayCommand("http://"+address, strings.TrimSpace(string(key)), routes, "--client", "web", "--bound", "5s", "--proxy-listen", at, "--ops-listen", "off"), at)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	person := &http.Client{Jar: jar}
	res, err := person.Post("http://"+address+"/v1/login", "application/json",
		strings.NewReader(fmt.Sprintf(`{"identifier":"alice","password":%q,"carrier":"cookie","client":"web"}`, alicePassword)))
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatal(res, err)
	}
	res.Body.Close()
	r, err := http.NewRequest(http.MethodGet, here+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/html")
	if res, err = person.Do(r); err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); res.StatusCode != http.StatusOK || string(body) != "Bearer" {
		t.Errorf("the API at %s = %d %s, %v", res.Request.URL, res.StatusCode, body, err)
	}
}

// chosen starts the server at an address with the configuration for some answers, in a folder of its
// own, and runs each command that the configuration names.
func chosen(t *testing.T, address string, flags ...string) (dir string, commands []string) {
	t.Helper()
	dir = t.TempDir()
	file := filepath.Join(dir, "counterfoil.yaml")
	run(t, append([]string{"choose", "--out", file}, flags...)...)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	said, env := new(output), append(os.Environ(), "COUNTERFOIL_DATA="+dir)
	serve := exec.Command(binary, "serve", "--config", file, "--listen", address, "--ops-listen", "off")
	serve.Env = env
	listen(t, serve, address)
	serve.Stderr.(*output).await(t, `"msg":"listening"`, 1) // its socket for commands, too
	for line := range strings.Lines(string(text)) {
		c, ok := strings.CutPrefix(strings.TrimSpace(line), "#   counterfoil ")
		if !ok || strings.HasPrefix(c, "choose ") {
			continue
		}
		cmd := exec.Command(binary, strings.Fields(c)...)
		cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, env, said, said
		if err := cmd.Run(); err != nil {
			t.Errorf("counterfoil %s: %v\n%s", c, err, said)
		}
		commands = append(commands, "counterfoil "+c)
	}
	return dir, commands
}

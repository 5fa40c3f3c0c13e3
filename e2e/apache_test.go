package e2e_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/testsvc"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store/memory"
)

// apacheConf is an Apache without the files of Debian: its folder, its address and what it has.
const apacheConf = `ServerRoot %[1]s
DefaultRuntimeDir %[1]s
PidFile %[1]s/apache.pid
ServerName 127.0.0.1
Listen %[2]s
ErrorLog /dev/stderr
User www-data
Group www-data
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authn_core_module /usr/lib/apache2/modules/mod_authn_core.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule authz_user_module /usr/lib/apache2/modules/mod_authz_user.so
LoadModule headers_module /usr/lib/apache2/modules/mod_headers.so
LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
LoadModule proxy_http_module /usr/lib/apache2/modules/mod_proxy_http.so
LoadModule auth_openidc_module /usr/lib/apache2/modules/mod_auth_openidc.so
ProxyPass / %[3]s/
%[4]s`

// apache starts an Apache with the configuration of docs/apache.md in front of service, which asks the
// auth server at url with key.
func apache(t *testing.T, url, cert, key, service string) (site string) {
	t.Helper()
	dir, address := t.TempDir(), testsvc.FreeAddress(t)
	conf := strings.NewReplacer("https://auth.example.com", url, "/etc/apache2", dir, "# OIDCCABundlePath /etc/ssl/own-ca.pem", "OIDCCABundlePath "+cert).Replace(documented(t, "apache.md", "OIDCOAuthClientID"))
	for name, text := range map[string]string{
		"apache.conf":        fmt.Sprintf(apacheConf, dir, address, service, conf),
		"counterfoil.secret": "OIDCOAuthClientSecret " + key + "\nOIDCCryptoPassphrase of-the-test\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	listen(t, exec.Command(testsvc.Program(t, "apache2"), "-f", filepath.Join(dir, "apache.conf"), "-X"), address)
	return "http://" + address
}

// Apache refuses what was revoked within the bound, with a key that asks for it. With another key it
// does not. The service gets the user's id, and neither the token nor what a visitor says.
func TestApache(t *testing.T) {
	t.Parallel()
	const bound = 2 * time.Second
	dir := t.TempDir()
	writeCertificate(t, dir)
	for _, name := range []string{filepath.Dir(dir), dir, filepath.Join(dir, "cert.pem")} { // the user of Apache reads it
		if err := os.Chmod(name, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "https://" + listener.Addr().String()
	auth, err := server.Open(t.Context(), server.Config{Store: memory.New(), URL: url, MaxBound: bound, NoVerifier: true, InsecureHashes: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = auth.Close() })
	web := &http.Server{Handler: auth}
	go func() {
		_ = web.ServeTLS(listener, filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	}()
	t.Cleanup(func() { _ = web.Close() })
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _ = r.Header.Write(w) }))
	t.Cleanup(service.Close)

	sites := map[string]string{} // by introspection_exp
	for _, exp := range []string{directory.ExpBound, ""} {
		_, key, err := auth.Users().NewKey(t.Context(), rights.Owner(), audit.Act{}, directory.APIKey{Client: "apache", Scopes: []string{directory.ScopeIntrospect}, IntrospectionExp: exp})
		if err != nil {
			t.Fatal(err)
		}
		sites[exp] = apache(t, url, filepath.Join(dir, "cert.pem"), key.Reveal(), service.URL)
	}
	issued, err := auth.Issuer().Login(t.Context(), login.Proof{Subject: "alice", At: time.Now(), Roles: []string{"staff"}}, issuer.Request{Carrier: counterfoil.CarrierBearer})
	if err != nil {
		t.Fatal(err)
	}
	token := issued.Access.Reveal()
	ask := func(exp, path, token string) (status int, body string) {
		f := front{t: t, url: sites[exp]}
		status, _, body = f.ask("GET", path, token, "Remote-User", "root", "Remote_User", "root", "OIDC_CLAIM_sub", "root")
		return status, body
	}
	for exp := range sites {
		if status, body := ask(exp, "/x", token); status != 200 || !strings.Contains(body, "Remote-User: alice\r\n") || strings.Contains(body, "root") || strings.Contains(body, token) {
			t.Fatalf("exp %q: a good token = %d\n%s", exp, status, body)
		}
		if status, _ := ask(exp, "/admin", token); status != 403 {
			t.Errorf("exp %q: a page for administrators = %d, want 403", exp, status)
		}
		if status, _ := ask(exp, "/x", "junk"); status != 401 {
			t.Errorf("exp %q: junk = %d, want 401", exp, status)
		}
	}
	if _, err := auth.Issuer().Revoke(t.Context(), source.ScopeSession, issued.Session.ID, audit.Act{}); err != nil {
		t.Fatal(err)
	}
	revoked, accepted := time.Now(), 0
	for { // asked again and again, which is no reason to keep the answer for longer
		asked := time.Now()
		status, _ := ask(directory.ExpBound, "/x", token)
		if status == 401 {
			break
		}
		if accepted++; status != 200 || asked.Sub(revoked) > bound {
			t.Fatalf("asked %v after the revocation = %d, want 401", asked.Sub(revoked), status)
		}
	}
	t.Logf("%d accepted within %v", accepted, bound)
	if status, _ := ask("", "/x", token); status != 200 {
		t.Errorf("with a key that does not ask for exp: %d. Does docs/apache.md still say what is true?", status)
	}
}

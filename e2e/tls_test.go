package e2e_test

import (
	"context"
	"crypto/tls"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/counterfoiltest"
	"github.com/counterfoil/counterfoil/internal/testsvc"
)

// GW-24: a session ticket of the gateway allows no early data, which anybody who saw it could send again, and no answer
// offers HTTP/3.
func TestNoEarlyData(t *testing.T) {
	t.Parallel()
	is, dir, at := counterfoiltest.New(t), t.TempDir(), testsvc.FreeAddress(t)
	writeCertificate(t, dir)
	service := newRecorder(t)
	file := filepath.Join(dir, "routes.yaml")
	routes := "routes:\n  - {origin: \"https://" + at + "\", prefix: /, anonymous: true, upstreams: [\"http://" + service.Addr().String() + "\"]}\n"
	if err := os.WriteFile(file, []byte(routes), 0o600); err != nil {
		t.Fatal(err)
	}
	listen(t, gatewayCommand(is.URL, is.APIKey, file, "--proxy-listen", at, "--ops-listen", "off",
		"--tls-cert", filepath.Join(dir, "cert.pem"), "--tls-key", filepath.Join(dir, "key.pem")), at)

	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} // the certificate of the test
	defer client.CloseIdleConnections()
	res, err := client.Get("https://" + at + "/")
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK || res.Header.Get("Alt-Svc") != "" {
		t.Errorf("%s, Alt-Svc %q, want 200 and none", res.Status, res.Header.Get("Alt-Svc"))
	}

	ctx, cancel := context.WithTimeout(t.Context(), hung)
	defer cancel()
	openssl := exec.CommandContext(ctx, testsvc.Program(t, "openssl"), "s_client", "-connect", at, "-tls1_3", "-ign_eof")
	openssl.Stdin = strings.NewReader("GET / HTTP/1.1\r\nHost: " + at + "\r\nConnection: close\r\n\r\n")
	out, _ := openssl.CombinedOutput()
	if text := string(out); !strings.Contains(text, "Post-Handshake New Session Ticket arrived") || strings.Count(text, "Max Early Data:") != strings.Count(text, "Max Early Data: 0\n") || !strings.Contains(text, "Max Early Data: 0\n") {
		t.Errorf("openssl says:\n%s", text)
	}
}

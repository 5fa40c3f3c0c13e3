package counterfoil_test

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/source"
)

// The error of an issuer that cannot be reached names it, and not the query of the request: it is
// written to logs, and a proof that the issuer made is not for those who read them.
func TestOutageIsToldWithoutTheQuery(t *testing.T) {
	gone := httptest.NewServer(nil)
	gone.Close()
	remote, err := counterfoil.Remote(gone.URL, counterfoil.RemoteOptions{Credential: "key"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = remote.Log(t.Context(), source.Follow{
		After: counterfoil.Cursor{Epoch: 1, Seq: 1}, Proof: "made-by-the-issuer", Wait: time.Second, Verifier: "verifier-id", Bound: 5 * time.Second,
	})
	if !errors.Is(err, counterfoil.ErrUnavailable) || !strings.Contains(err.Error(), gone.URL+"/v1/log: dial tcp") || strings.Contains(err.Error(), "made-by") || strings.Contains(err.Error(), "verifier-id") {
		t.Errorf("Log = %v", err)
	}
}

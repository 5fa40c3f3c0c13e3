package gateway_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/gateway"
	"github.com/counterfoil/counterfoil/source"
)

// GW-13: an event stream ends with its session, over HTTP/1.1 and HTTP/2, and so does a request that the service
// has not answered yet. No other ends.
func TestStreamEndsWithItsSession(t *testing.T) {
	arrived, left, more := make(chan string, 10), make(chan string, 10), make(chan string)
	p := newProxied(t, func(w http.ResponseWriter, r *http.Request) {
		arrived <- r.URL.Path
		defer func() { left <- r.URL.Path }()
		for text := "hello"; ; {
			if r.URL.Path == "/events" {
				w.Header().Set("Content-Type", "text/event-stream")
				_, _ = io.WriteString(w, text+"\n")
				_ = http.NewResponseController(w).Flush()
			}
			select {
			case <-r.Context().Done():
				return
			case text = <-more:
			}
		}
	}, gateway.Route{Prefix: "/"})
	second := new(http.Protocols)
	second.SetUnencryptedHTTP2(true)
	for name, transport := range map[string]*http.Transport{"HTTP/1.1": {}, "HTTP/2.0": {Protocols: second}} {
		t.Run(name, func(t *testing.T) {
			defer transport.CloseIdleConnections()
			ask := func(path, token string) (*http.Response, error) {
				r, err := http.NewRequestWithContext(t.Context(), "GET", p.origin+path, nil)
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Authorization", "Bearer "+token)
				return transport.RoundTrip(r)
			}
			read := func(res *http.Response, want string) {
				t.Helper()
				got := make([]byte, len(want))
				if _, err := io.ReadFull(res.Body, got); err != nil || string(got) != want {
					t.Errorf("read %q, %v; want %q", got, err, want)
				}
			}
			stream := func(token string) *http.Response {
				res, err := ask("/events", token)
				if err != nil || res.Proto != name {
					t.Fatal(res, err)
				}
				read(res, "hello\n")
				return res
			}
			in := p.issuer.Login("alice", counterfoil.CarrierBearer)
			stays := stream(p.issuer.Token("bob"))
			first, second := stream(in.Access.Reveal()), stream(in.Access.Reveal())
			waits := make(chan int)
			go func() {
				res, err := ask("/waits", in.Access.Reveal())
				if err != nil {
					t.Error(err)
					waits <- 0
					return
				}
				_ = res.Body.Close()
				waits <- res.StatusCode
			}()
			for range 4 {
				<-arrived
			}
			p.issuer.Revoke(source.ScopeSession, in.Session.ID)
			for _, res := range []*http.Response{first, second} {
				_, err := io.ReadAll(res.Body)
				if err == nil || name == "HTTP/2.0" && !strings.Contains(err.Error(), "stream error") {
					t.Errorf("the stream ends with %v, want it to be cut", err)
				}
				_ = res.Body.Close()
			}
			if status := <-waits; status != 401 {
				t.Errorf("a request that waits for the service = %d, want 401", status)
			}
			p.wantTold("revoked", "revoked", "revoked")
			for range 3 {
				<-left // the service knows
			}
			more <- "again"
			read(stays, "again\n")
			_ = stays.Body.Close()
			<-left
		})
	}
}

package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/server"
)

// where is what a client shows of itself when it refreshes.
type where struct{ address, agent, device, nonce string }

// refresher is a client that has a refresh token, in a cookie if cookie is set.
type refresher struct {
	token  string
	cookie bool
}

// at refreshes at a node, by the API or as OAuth has it.
func (h refresher) at(node *server.Server, url string, from where, oauth bool) (status int, next string) {
	r := h.request(url, from, oauth)
	r.RemoteAddr = from.address + ":40000"
	r.Header.Set("User-Agent", from.agent)
	if from.device != "" {
		r.AddCookie(&http.Cookie{Name: "cf_dev", Value: from.device})
	}
	w := httptest.NewRecorder()
	node.ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		if c.Name == "cf_rt" {
			next = c.Value
		}
	}
	if next == "" {
		var body api.Token
		_ = json.Unmarshal(w.Body.Bytes(), &body)
		next = body.RefreshToken
	}
	return w.Code, next
}

func (h refresher) request(base string, from where, oauth bool) *http.Request {
	switch {
	case h.cookie:
		r := httptest.NewRequest("POST", base+"/v1/refresh", strings.NewReader(fmt.Sprintf(`{"refresh_nonce":%q}`, from.nonce)))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Origin", base)
		r.AddCookie(&http.Cookie{Name: "cf_rt", Value: h.token})
		return r
	case oauth:
		form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {h.token}, "refresh_nonce": {from.nonce}}
		r := httptest.NewRequest("POST", base+"/oauth/token", strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return r
	}
	r := httptest.NewRequest("POST", base+"/v1/refresh", strings.NewReader(fmt.Sprintf(`{"refresh_token":%q,"refresh_nonce":%q}`, h.token, from.nonce)))
	r.Header.Set("Content-Type", "application/json")
	return r
}

// owner is the n-th client: where it is, and by what the server knows it again.
func owner(n int) (here where, cookie bool) {
	here = where{address: "192.0.2.7", agent: "their browser"}
	switch n % 3 {
	case 1:
		here.nonce = fmt.Sprintf("nonce-of-the-owner-%04d", n)
	case 2:
		here.device, cookie = fmt.Sprintf("cfd_%04d", n), true
	}
	return here, cookie
}

// pair is two nodes on one store.
func pair(t *testing.T) (*bench, [2]*server.Server) {
	b := newBench(t)
	other, err := server.Open(t.Context(), server.Config{Store: b.db, URL: b.url, SealKey: [32]byte{1}, Offline: true, InsecureHashes: true, Audit: func(audit.Entry) {}})
	must(t, err)
	t.Cleanup(func() { _ = other.Close() })
	return b, [2]*server.Server{b.server, other.Server}
}

func (b *bench) refresher(subject string, cookie bool) refresher {
	b.Helper()
	carrier := counterfoil.CarrierBearer
	if cookie {
		carrier = counterfoil.CarrierJWTCookie
	}
	return refresher{b.session(subject, issuer.Request{Carrier: carrier}).Refresh.Reveal(), cookie}
}

// REF-02, REF-03: a thief holds a refresh token that its owner has just used, and asks at once, from
// another address or another device, at each node and route. It never gets the successor, and
// each owner is told.
func TestThiefOfTheGrace(t *testing.T) {
	b, nodes := pair(t)
	followed, told, audited := 0, 0, 0
	for n := range 50 {
		here, cookie := owner(n)
		subject := fmt.Sprint("usr_owner", n)
		held := b.refresher(subject, cookie)
		status, next := held.at(nodes[n%2], b.url, here, false)
		if status != http.StatusOK || next == "" {
			t.Fatalf("owner %d refreshes: %d", n, status)
		}
		there := where{address: "203.0.113.9", agent: here.agent}
		if n%2 == 1 { // the same network, and another device
			there = where{address: here.address, agent: "another browser", nonce: "made-up-by-a-thief-0"}
		}
		for try := range 4 {
			if status, _ := held.at(nodes[try%2], b.url, there, try > 1); status == http.StatusOK {
				followed++
			}
		}
		cookieOf := "cf=" + b.session(subject, issuer.Request{Carrier: counterfoil.CarrierCookie}).Access.Reveal()
		var list api.OwnSessions
		_, body := b.call("GET", "/v1/sessions", "", "Cookie", cookieOf)
		must(t, json.Unmarshal([]byte(body), &list))
		if len(list.Notices) == 1 && list.Notices[0].Kind == "refresh-reuse" && list.Notices[0].Address.String() == there.address {
			told++
		}
		entries, _, err := b.issuer.Audit().List(t.Context(), audit.Query{Subject: subject})
		must(t, err)
		for _, e := range entries {
			if e.Action == audit.Reuse && e.Address.String() == there.address {
				audited++
			}
		}
		if status, _ := (refresher{next, cookie}).at(nodes[0], b.url, here, false); status != http.StatusUnauthorized {
			t.Errorf("owner %d: the session lives on: %d", n, status)
		}
	}
	if followed != 0 || told != 50 || audited != 50 {
		t.Errorf("%d of 50 rotations were followed, %d owners were told, %d audited; want 0, 50, 50", followed, told, audited)
	}
}

// REF-03: the answer to a refresh is lost, and the client asks again, mostly at the other node. It gets
// the same successor, and goes on. With a nonce or a device cookie it may be in another
// network by then.
func TestHonestRetry(t *testing.T) {
	b, nodes := pair(t)
	good := 0
	for n := range 300 {
		here, cookie := owner(n)
		held := b.refresher(fmt.Sprint("usr_honest", n), cookie)
		oauth := n%2 == 0
		_, lost := held.at(nodes[n%2], b.url, here, oauth)
		if n%3 != 0 {
			here.address, here.agent = "203.0.113.9", "their browser, updated"
		}
		status, next := held.at(nodes[(n+n%5)%2], b.url, here, oauth)
		if status != http.StatusOK || next == "" || next != lost {
			t.Errorf("client %d asks again: %d", n, status)
			continue
		}
		if status, _ := (refresher{next, cookie}).at(nodes[n%2], b.url, here, oauth); status != http.StatusOK {
			t.Errorf("client %d goes on: %d", n, status)
			continue
		}
		good++
	}
	if good != 300 {
		t.Errorf("%d of 300 clients went on", good)
	}
}

// A grant that is refreshed too often is told when to come again, and nothing of it ends.
func TestRefreshedTooOften(t *testing.T) {
	for name, oauth := range map[string]bool{"api": false, "oauth": true} {
		now := time.Now()
		b := assemble(t, server.Config{URL: "http://127.0.0.1:8080", Now: func() time.Time { return now }})
		here, _ := owner(0)
		held := b.refresher("alice", false)
		for range 30 {
			status, next := held.at(b.server, b.url, here, oauth)
			if status != http.StatusOK {
				t.Fatalf("%s: refresh = %d", name, status)
			}
			held.token = next
		}
		w := httptest.NewRecorder()
		b.server.ServeHTTP(w, held.request(b.url, here, oauth))
		if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "2" || len(w.Result().Cookies()) > 0 {
			t.Errorf("%s: one too many = %d %s, Retry-After %q", name, w.Code, w.Body, w.Header().Get("Retry-After"))
		}
		now = now.Add(2 * time.Second)
		if status, _ := held.at(b.server, b.url, here, oauth); status != http.StatusOK {
			t.Errorf("%s: after the wait = %d", name, status)
		}
	}
}

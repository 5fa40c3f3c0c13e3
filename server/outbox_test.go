package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/outbox"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/store"
)

// letter makes a dead letter, and returns its id.
func (b *bench) letter(d outbox.Draft) (id string) {
	b.Helper()
	o := b.embedded.Outbox()
	rec, err := o.Record(d)
	must(b.T, err)
	_, err = b.db.Commit(b.Context(), store.Batch{Put: []store.Record{rec}})
	must(b.T, err)
	ctx, cancel := context.WithCancel(b.Context())
	o.Handle(d.Kind, func(_ context.Context, it outbox.Item) error {
		if strings.HasSuffix(rec.ID, it.ID) { // others may wait
			id = it.ID
			cancel()
		}
		return &outbox.Failure{Reason: "recipient: the server says 550 <b>no</b>", Permanent: true}
	})
	if !d.Expires.IsZero() { // nobody delivers it
		cancel()
		return ""
	}
	o.Run(ctx)
	return id
}

// LOGIN-16, OPS-01: dead letters are listed without what was to be delivered, redelivered once, and dropped. What has
// expired can only be dropped. It is in the audit trail who did that.
func TestOutboxAPI(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := assemble(t, server.Config{URL: authURL})
		key := []string{"Authorization", "Bearer " + b.key}
		one := b.letter(outbox.Draft{Kind: "mail", About: "reset", Subject: "usr_1", Payload: []byte("canary")})
		time.Sleep(time.Millisecond)
		two := b.letter(outbox.Draft{Kind: "mail", About: "verify"})
		list := b.answer("GET", "/v1/admin/outbox", "", key...).Body.String()
		for _, want := range []string{one, two, `"waiting":0,"dead":2`, `"subject":"usr_1"`, `550`} {
			if !strings.Contains(list, want) {
				t.Errorf("%s is not in %s", want, list)
			}
		}
		if strings.Index(list, two) > strings.Index(list, one) {
			t.Errorf("the newest does not come first in %s", list)
		}
		for _, c := range []struct {
			method, path string
			status       int
		}{
			{"GET", one, http.StatusOK}, {"GET", "x", http.StatusNotFound},
			{"POST", one + "/redeliver", http.StatusNoContent}, {"POST", one + "/redeliver", http.StatusNotFound}, {"DELETE", one, http.StatusNotFound}, {"GET", one, http.StatusNotFound},
			{"DELETE", two, http.StatusNoContent}, {"DELETE", two, http.StatusNotFound}, {"DELETE", "x", http.StatusNotFound}, {"POST", strings.Repeat("a", 300) + "/redeliver", http.StatusNotFound},
		} {
			if w := b.answer(c.method, "/v1/admin/outbox/"+c.path, "", key...); w.Code != c.status {
				t.Errorf("%s %s = %d %s, want %d", c.method, c.path, w.Code, w.Body, c.status)
			}
		}
		if w := b.answer("GET", "/v1/admin/outbox?state=sent", "", key...); w.Code != http.StatusBadRequest {
			t.Errorf("a state that is none = %d", w.Code)
		}
		list = b.answer("GET", "/v1/admin/outbox?state=waiting", "", key...).Body.String()
		if !strings.Contains(list, one) || !strings.Contains(list, `"waiting":1,"dead":0`) {
			t.Error(list)
		}
		trail := b.answer("GET", "/v1/admin/audit?action=outbox.redeliver,outbox.drop", "", key...).Body.Bytes()
		if bytes.Count(trail, []byte(`"by":"key:bench"`)) != 2 || !bytes.Contains(trail, []byte(one)) || !bytes.Contains(trail, []byte(two)) {
			t.Errorf("%s", trail)
		}
		b.letter(outbox.Draft{Kind: "alert", Payload: []byte("canary"), Expires: time.Now().Add(time.Minute)})
		time.Sleep(time.Hour)
		b.letter(outbox.Draft{Kind: "alert"})
		list = b.answer("GET", "/v1/admin/outbox", "", key...).Body.String()
		var page api.Outbox
		must(t, json.Unmarshal([]byte(list), &page))
		for _, l := range page.Letters {
			if !l.Expired {
				continue
			}
			if w := b.answer("POST", "/v1/admin/outbox/"+l.ID+"/redeliver", "", key...); w.Code != http.StatusConflict || !strings.Contains(w.Body.String(), "letter-expired") {
				t.Errorf("redeliver what has expired = %d %s", w.Code, w.Body)
			}
			if w := b.answer("DELETE", "/v1/admin/outbox/"+l.ID, "", key...); w.Code != http.StatusNoContent {
				t.Errorf("drop what has expired = %d %s", w.Code, w.Body)
			}
		}
		if strings.Count(list, `"expired":true`) != 1 {
			t.Error(list)
		}
		if kept := b.dump() + b.log.String() + list; strings.Contains(kept, "canary") {
			t.Error("what was to be delivered is kept or shown in the clear")
		}
	})
}

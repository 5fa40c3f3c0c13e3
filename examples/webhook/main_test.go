package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/outward"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/monitor"
	"github.com/counterfoil/counterfoil/monitor/alert"
)

const (
	older = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
	newer = "whsec_YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXphYmNkZWY="
	other = "whsec_enl4d3Z1dHNycXBvbm1sa2ppaGdmZWRjYmFhYmNkZWY="
)

// send has the sender of alerts tell a receiver that knows one secret, which is sent with others.
func send(t *testing.T, knows string, sent []string, off time.Duration) (printed string, err error) {
	t.Helper()
	var out bytes.Buffer
	now := time.Now()
	rc, err := newReceiver(knows, &out, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(rc)
	defer web.Close()
	client, err := outward.New(outward.Options{Allow: []string{"127.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	c := monitor.Channel{Name: "ops", Kind: monitor.Webhook, URL: secret.New(web.URL + "/hook")}
	for _, s := range sent {
		c.Secrets = append(c.Secrets, secret.New(s))
	}
	sender := &alert.Sender{Post: client.Send, Source: "test", Now: func() time.Time { return now.Add(off) }}
	for range 2 { // the second is dropped
		err = sender.Send(t.Context(), c, monitor.Event{ID: "KEY-1-down", Kind: monitor.WentDown, Check: "shop", Title: "The shop", At: now, Since: now, Failure: "no answer"})
	}
	return out.String(), err
}

// OPS-09: the receiver believes the secret, also while it is replaced, and prints each alert once.
func TestReceives(t *testing.T) {
	for _, test := range []struct {
		knows string
		sent  []string
	}{{older, []string{older}}, {older, []string{older, newer}}, {newer, []string{older, newer}}, {newer, []string{newer}}} {
		printed, err := send(t, test.knows, test.sent, 0)
		if err != nil || strings.Count(printed, "\n") != 1 || !strings.HasPrefix(printed, `KEY-1-down monitor.down "shop" "DOWN: The shop. `) {
			t.Errorf("knows %s, sent %s: %q, %v", test.knows[:10], test.sent, printed, err)
		}
	}
}

// OPS-09: another secret, or a timestamp that is more than five minutes off, is refused.
func TestRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		sent string
		off  time.Duration
		ok   bool
	}{
		"another secret": {other, 0, false},
		"old":            {older, -5*time.Minute - 2*time.Second, false},
		"of the future":  {older, 5*time.Minute + 2*time.Second, false},
		"a little old":   {older, -4 * time.Minute, true},
		"a little ahead": {older, 4 * time.Minute, true},
	} {
		printed, err := send(t, older, []string{test.sent}, test.off)
		if test.ok != (err == nil) || test.ok != (printed != "") {
			t.Errorf("%s: printed %q, %v", name, printed, err)
		}
		if !test.ok && err.Error() != "it answered 401" {
			t.Errorf("%s: %v, and nothing of the answer may be in it", name, err)
		}
	}
}

// OPS-09: each part of the request is signed. The signature is made here as Standard Webhooks writes
// it down, and not by the sender.
func TestEachPartIsSigned(t *testing.T) {
	key, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(older, "whsec_"))
	now := time.Unix(1_700_000_000, 0)
	const id, body = "msg_1", `{"type":"monitor.test","data":{"text":"x"}}`
	stamp := strconv.FormatInt(now.Unix(), 10)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + stamp + "." + body))
	right := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	for name, test := range map[string]struct {
		id, stamp, signature, body string
		status                     int
	}{
		"right":                   {id, stamp, right, body, http.StatusNoContent},
		"one of several":          {id, stamp, "v1,AAAA v2,x " + right, body, http.StatusNoContent},
		"another id":              {"msg_2", stamp, right, body, http.StatusUnauthorized},
		"another time":            {id, strconv.FormatInt(now.Unix()+1, 10), right, body, http.StatusUnauthorized},
		"another body":            {id, stamp, right, body + " ", http.StatusUnauthorized},
		"of another version":      {id, stamp, "v2" + right[2:], body, http.StatusUnauthorized},
		"no signature":            {id, stamp, "", body, http.StatusUnauthorized},
		"no id":                   {"", stamp, right, body, http.StatusUnauthorized},
		"a time that is none":     {id, "now", right, body, http.StatusUnauthorized},
		"half of the signature":   {id, stamp, right[:20], body, http.StatusUnauthorized},
		"a body that is too long": {id, stamp, right, strings.Repeat("x", maxBody+1), http.StatusRequestEntityTooLarge},
	} {
		rc, err := newReceiver(older, new(bytes.Buffer), func() time.Time { return now })
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodPost, "/hook", strings.NewReader(test.body))
		r.Header.Set("Webhook-Id", test.id)
		r.Header.Set("Webhook-Timestamp", test.stamp)
		r.Header.Set("Webhook-Signature", test.signature)
		w := httptest.NewRecorder()
		rc.ServeHTTP(w, r)
		if w.Code != test.status {
			t.Errorf("%s: %d, want %d", name, w.Code, test.status)
		}
	}
	for _, bad := range []string{"", "whsec_", "secret", "whsec_AAAA"} {
		if _, err := newReceiver(bad, nil, time.Now); err == nil {
			t.Errorf("the secret %q is taken", bad)
		}
	}
}

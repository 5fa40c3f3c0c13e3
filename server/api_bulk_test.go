package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/accounts"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/store"
)

// A revocation by filter takes a dry run first, which shows what it would end and no credential.
func TestRevokeByFilter(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	post := func(want int, body string) map[string]any {
		t.Helper()
		return b.admin(want, "POST", "/v1/admin/revocations", body)
	}
	for n := range 25 {
		b.session(fmt.Sprintf("usr_%d", n), issuer.Request{Carrier: counterfoil.CarrierBearer, UserAgent: "Phone/1"})
	}
	kept := b.session("usr_0", issuer.Request{Carrier: counterfoil.CarrierCookie, UserAgent: "Laptop"})
	plan := post(http.StatusOK, `{"filter":{"device":"phone"},"dry_run":true}`)
	if plan["sessions"] != 25.0 || plan["more_than"] != false || len(plan["samples"].([]any)) != 20 {
		t.Errorf("the dry run: %v", plan)
	}
	if got := b.admin(http.StatusOK, "GET", "/v1/admin/stats", "")["node"].(map[string]any)["sum"].(map[string]any)["revocations"]; got != 0.0 {
		t.Errorf("a dry run revoked: %v", got)
	}
	token := plan["token"].(string)
	for body, kind := range map[string]string{
		`{"filter":{},"dry_run":true}`:                                            "bad-request",
		`{"filter":{"surprise":"x"},"dry_run":true}`:                              "bad-request",
		`{"filter":{"user":"*"},"dry_run":true}`:                                  "bad-request",
		`{"filter":{"user":"a","user":"b"},"dry_run":true}`:                       "bad-request",
		`{"filter":{"carrier":"pigeon"},"dry_run":true}`:                          "bad-request",
		`{"filter":{"address":"x"},"dry_run":true}`:                               "bad-request",
		`{"filter":{"device":"` + strings.Repeat("x", 300) + `"},"dry_run":true}`: "bad-request",
		`{"filter":[],"dry_run":true}`:                                            "bad-request",
		`{"filter":{"device":"phone"}}`:                                           "bad-request",
		`{"filter":{"device":"phone"},"dry_run":true,"token":"` + token + `"}`:    "bad-request",
		`{"filter":{"device":"phone"},"scope":"all","token":"` + token + `"}`:     "bad-request",
		`{"filter":{"device":"phone"},"wait":"all","token":"` + token + `"}`:      "bad-request",
		`{"scope":"all","dry_run":true}`:                                          "bad-request",
		`{"scope":"all","token":"x"}`:                                             "bad-request",
		`{"scope":"all","at_most":5}`:                                             "bad-request",
		`{"filter":{"device":"phone"},"dry_run":true,"at_most":50}`:               "bad-request",
		`{"filter":{"device":"phone"},"at_most":-1,"token":"` + token + `"}`:      "bad-request",
		`{"filter":{"device":"phone"},"at_most":24,"token":"` + token + `"}`:      "more-than-planned",
		`{"filter":{"device":"laptop"},"token":"` + token + `"}`:                  "no-dry-run",
		`{"filter":{"device":"phone"},"token":"` + strings.Repeat("A", 60) + `"}`: "no-dry-run",
	} {
		want := http.StatusBadRequest
		if kind != "bad-request" {
			want = http.StatusConflict
		}
		if got := post(want, body); got["type"] != "urn:counterfoil:problem:"+kind {
			t.Errorf("%.60s: %v", body, got)
		}
	}
	if got := post(http.StatusConflict, `{"filter":{"device":"phone"},"at_most":1,"token":"`+token+`"}`); !strings.HasPrefix(got["detail"].(string), "at most 1 may be revoked, and the filter finds 2 or more. ") || strings.Contains(got["detail"].(string), "dry run") {
		t.Errorf("more than the call allows: %v", got)
	}
	for n := range 3 {
		b.session(fmt.Sprintf("usr_more%d", n), issuer.Request{Carrier: counterfoil.CarrierBearer, UserAgent: "Phone/1"})
	}
	if got := post(http.StatusConflict, `{"filter":{"device":"phone"},"token":"`+token+`"}`); got["type"] != "urn:counterfoil:problem:more-than-planned" || !strings.Contains(got["detail"].(string), "25") {
		t.Errorf("a set that grew: %v", got)
	}
	token = post(http.StatusOK, `{"filter":{"device":"phone"},"dry_run":true}`)["token"].(string)
	res, _ := b.call("POST", "/v1/admin/revocations", `{"filter":{"device":"phone"},"reason":"a worm","token":"`+token+`"}`, "Authorization", "Bearer "+b.key)
	job := b.admin(http.StatusOK, "GET", res.Header.Get("Location"), "")
	if res.StatusCode != http.StatusAccepted || job["state"] != "done" || job["ended"] != 28.0 || job["limit"] != 30.0 || job["by"] != "key:bench" || job["reason"] != "a worm" {
		t.Errorf("%d, the job: %v", res.StatusCode, job)
	}
	// The log names the job to everybody who follows it. Who ordered it is for who sees the audit trail.
	support := b.session("usr_s", issuer.Request{Client: "console", Carrier: counterfoil.CarrierBearer}, accounts.RoleSupport)
	if res, body := b.call("GET", res.Header.Get("Location"), "", "Authorization", "Bearer "+support.Access.Reveal()); res.StatusCode != http.StatusOK || strings.Contains(body, "bench") || strings.Contains(body, "a worm") {
		t.Errorf("support sees %d %s", res.StatusCode, body)
	}
	if _, err := b.issuer.Session(t.Context(), kept.Session.ID); err != nil {
		t.Errorf("a session that was not meant: %v", err)
	}
	b.admin(http.StatusNotFound, "GET", "/v1/admin/revocations/rvk_x", "")
	b.admin(http.StatusNotFound, "GET", "/v1/admin/revocations/last", "")
}

// copies makes n stored sessions like that of id.
func (b *bench) copies(id string, n int) {
	b.Helper()
	like, err := store.One(b.Context(), b.db, store.Key{Kind: "session", ID: id})
	must(b.T, err)
	var row map[string]any
	must(b.T, json.Unmarshal(like.Value, &row))
	var all store.Batch
	for k := range n {
		rec := like
		rec.ID, rec.Rev = fmt.Sprintf("ses_copy%06d", k), 0
		row["id"] = rec.ID
		rec.Value, err = json.Marshal(row)
		must(b.T, err)
		all.Put = append(all.Put, rec)
	}
	for len(all.Put) > 0 {
		part := min(len(all.Put), 500)
		_, err := b.db.Commit(b.Context(), store.Batch{Put: all.Put[:part]})
		must(b.T, err)
		all.Put = all.Put[part:]
	}
}

// Where a dry run has not counted all, somebody must say how many may be revoked. The job stops there.
func TestRevokeMoreThanCounted(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	held := b.session("usr_many", issuer.Request{Carrier: counterfoil.CarrierCookie, UserAgent: "Phone"})
	b.copies(held.Session.ID, issuer.MaxCount+1)
	post := func(want int, body string) map[string]any {
		t.Helper()
		return b.admin(want, "POST", "/v1/admin/revocations", body)
	}
	plan := post(http.StatusOK, `{"filter":{"user":"usr_many"},"dry_run":true}`)
	if plan["sessions"] != 10000.0 || plan["more_than"] != true {
		t.Errorf("the dry run: %v, %v", plan["sessions"], plan["more_than"])
	}
	order := `{"filter":{"user":"usr_many"},"token":"` + plan["token"].(string) + `"`
	for _, atMost := range []string{"", `,"at_most":0`, `,"at_most":10000`, `,"at_most":-20000`, `,"at_most":1.5`} {
		if got := post(http.StatusBadRequest, order+atMost+"}"); atMost == "" && !strings.Contains(got["detail"].(string), "at_most") {
			t.Errorf("without at_most: %v", got)
		}
	}
	v := b.console(time.Minute, "admin")
	const found = "/admin/revoke/found"
	v.open(found+"?user=usr_many").at(http.StatusOK, "more than 10000 sessions").at(http.StatusOK, "Revoke at most")
	v.send(found, typed("confirm", "more than 10000 sessions", "at_most", "all")).at(http.StatusUnprocessableEntity, "Say with digits")
	v.send(found, typed("confirm", "more than 10000 sessions", "at_most", "10000")).at(http.StatusBadRequest, "larger than that")
	if n, _, err := b.issuer.Count(t.Context(), issuer.Filter{Subject: "usr_many"}); err != nil || n < 1000 {
		t.Fatalf("%d are left, %v", n, err)
	}
	v.send(found, typed("confirm", "more than 10000 sessions", "at_most", "10001")).gone(http.StatusOK, "Stopped: 10001 sessions are revoked")
	left, err := b.issuer.Search(t.Context(), issuer.Filter{Subject: "usr_many"}, "", 0)
	if err != nil || len(left.Sessions) != 1 {
		t.Errorf("%d are left, %v", len(left.Sessions), err)
	}
	id := regexp.MustCompile(`rvk_\w+`).FindString(v.page.Body.String())
	w := b.answer("GET", "/v1/admin/revocations/"+id, "", "Authorization", "Bearer "+b.key)
	if !strings.Contains(w.Body.String(), `"state":"stopped","`) || !strings.Contains(w.Body.String(), `"limit":10001,"ended":10001`) {
		t.Errorf("the job: %s", w.Body)
	}
}

package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/issuer"
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
		`{"filter":{"device":"laptop"},"token":"` + token + `"}`:                  "no-dry-run",
		`{"filter":{"device":"phone"},"token":"` + strings.Repeat("A", 60) + `"}`: "no-dry-run",
	} {
		want := http.StatusBadRequest
		if kind == "no-dry-run" {
			want = http.StatusConflict
		}
		if got := post(want, body); got["type"] != "urn:counterfoil:problem:"+kind {
			t.Errorf("%.60s: %v", body, got)
		}
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
	if res.StatusCode != http.StatusAccepted || job["state"] != "done" || job["ended"] != 28.0 || job["by"] != "key:bench" || job["reason"] != "a worm" {
		t.Errorf("%d, the job: %v", res.StatusCode, job)
	}
	if _, err := b.issuer.Session(t.Context(), kept.Session.ID); err != nil {
		t.Errorf("a session that was not meant: %v", err)
	}
	b.admin(http.StatusNotFound, "GET", "/v1/admin/revocations/rvk_x", "")
	b.admin(http.StatusNotFound, "GET", "/v1/admin/revocations/last", "")
}

package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// REV-20: the list has each verifier that follows, with whose key it does, where it is, what it is,
// and how fresh. It has no credential, and not the id by which a verifier is known in the feed.
func TestVerifiers(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.verifier()
	for n, agent := range []string{"other/1.0 (a b)", "evil\u202etxt", strings.Repeat("é", 200)} {
		res, text := b.call("GET", "/v1/log?bound=5s&verifier=verifier-with-a-long-name-"+string(rune('a'+n)), "", "Authorization", "Bearer "+b.key, "User-Agent", agent)
		if res.StatusCode != http.StatusOK {
			t.Fatal(res.StatusCode, text)
		}
	}
	first := b.admin(http.StatusOK, "GET", "/v1/admin/verifiers?limit=2", "")
	second := b.admin(http.StatusOK, "GET", "/v1/admin/verifiers?cursor="+first["next"].(string), "")
	all := append(first["verifiers"].([]any), second["verifiers"].([]any)...)
	if len(all) != 4 || second["next"] != nil {
		t.Fatalf("%d verifiers: %v", len(all), all)
	}
	for n, want := range []string{"counterfoil/devel go1.", "other/1.0 (a b)", "", strings.Repeat("é", 50)} {
		v := all[n].(map[string]any)
		got, _ := v["agent"].(string)
		if want == "" && got != "" || !strings.HasPrefix(got, want) {
			t.Errorf("%d: agent %q, want %q", n, got, want)
		}
		seen, err := time.Parse(time.RFC3339, v["last_seen"].(string))
		if err != nil || time.Since(seen) > time.Minute || v["client"] != "bench" || v["address"] != "127.0.0.1" || v["following"] != true || len(v["id"].(string)) != 8 {
			t.Errorf("%d: %v", n, v)
		}
		if stale, bound := v["staleness_ms"].(float64), v["bound_ms"].(float64); stale < 0 || stale > 60_000 || bound < 5000 {
			t.Errorf("%d: %v ms of %v", n, stale, bound)
		}
		if strings.Contains(b.key, v["key"].(string)+"_") {
			t.Errorf("the list shows part of a key: %v", v)
		}
	}
	b.admin(http.StatusBadRequest, "GET", "/v1/admin/verifiers?client=x", "")
}

// An entry of the trail that tells of a revocation says how many of the verifiers that follow have it, and which have not.
// So does the page of the console.
func TestConfirmedRevocations(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ask := func(after string) (upto string) {
		t.Helper()
		res, text := b.call("GET", "/v1/log?bound=10s&verifier=verifier-one&after="+after, "", "Authorization", "Bearer "+b.key)
		if res.StatusCode != http.StatusOK {
			t.Fatal(res.StatusCode, text)
		}
		var page struct{ Upto string }
		must(t, json.Unmarshal([]byte(text), &page))
		return page.Upto
	}
	before := ask("")
	receipt := b.admin(http.StatusOK, "POST", "/v1/admin/revocations", `{"scope":"subject","id":"usr_nobody"}`)
	at := receipt["epoch"].(string) + "." + fmt.Sprint(receipt["seq"])
	v := b.console(time.Minute, "admin")
	// The verifier asks each time, so it follows, also on a slow machine.
	confirmed := func(after, says string) map[string]any {
		t.Helper()
		for range 100 {
			ask(after)
			v.open("/admin/log")
			page := b.admin(http.StatusOK, "GET", "/v1/admin/audit?action=revoke&limit=1&log=true", "")
			in := page["log"].([]any)[0].(map[string]any)
			if in["id"] != page["entries"].([]any)[0].(map[string]any)["id"] || in["cursor"] != at {
				t.Fatalf("the entry is at %v, want %s", in, at)
			}
			if in["verifiers"] == 1.0 {
				v.at(http.StatusOK, says)
				return in
			}
		}
		t.Fatal("no verifier follows")
		return nil
	}
	in := confirmed(before, `<span class="tag bad">0 of 1</span> not yet: <bdi>bench verifier</bdi></td>`)
	if in["confirmed"] != 0.0 || fmt.Sprint(in["behind"]) != "[map[client:bench id:verifier]]" {
		t.Errorf("before the verifier has it: %v", in)
	}
	if in := confirmed(at, `data-label="Confirmed">by all 1</td>`); in["confirmed"] != 1.0 || in["behind"] != nil {
		t.Errorf("when the verifier has it: %v", in)
	}
	if page := b.admin(http.StatusOK, "GET", "/v1/admin/audit?limit=1", ""); page["log"] != nil {
		t.Errorf("nobody asked for the log: %v", page)
	}
	for _, bad := range []string{"log=yes", "log=true&format=csv"} {
		b.admin(http.StatusBadRequest, "GET", "/v1/admin/audit?"+bad, "")
	}
}

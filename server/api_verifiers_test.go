package server_test

import (
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

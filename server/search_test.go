package server_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// An administrator searches users and the sessions of all users. Filters hold together, a cursor
// belongs to its filter, and what no record can have is refused.
func TestSearchByAPI(t *testing.T) {
	b := newBench(t)
	ids := map[string]string{}
	for n, name := range []string{"ann", "anna", "bert"} {
		made := b.admin(http.StatusCreated, "POST", "/v1/admin/users", fmt.Sprintf(`{"identifier":"%s@example.org","name":"Person %d","roles":["r%d"]}`, name, n, n%2))
		ids[name] = made["user"].(map[string]any)["id"].(string)
	}
	b.admin(http.StatusOK, "PATCH", "/v1/admin/users/"+ids["bert"], `{"status":"disabled"}`)
	found := func(path, list, member string) (got []string, page map[string]any) {
		t.Helper()
		page = b.admin(http.StatusOK, "GET", path, "")
		for _, one := range page[list].([]any) {
			got = append(got, one.(map[string]any)[member].(string))
		}
		return got, page
	}
	for query, want := range map[string]string{
		"q=ANN": "2", "q=person+0": "1", "q=" + ids["anna"]: "1", "q=person&role=r0": "2", "q=person&role=r0&disabled=true": "1",
		"q=ann&disabled=false": "2", "disabled=true": "1", "created=2020-01-01T00:00:00Z&q=ann": "2", "created_before=2020-01-01T00:00:00Z": "0", "role=none": "0",
	} {
		got, page := found("/v1/admin/users?count=true&"+query, "users", "identifier")
		if fmt.Sprint(len(got)) != want || fmt.Sprint(page["count"]) != want || page["more_than"] != nil {
			t.Errorf("users?%s: %v, count %v, more_than %v, want %s", query, got, page["count"], page["more_than"], want)
		}
	}
	first, page := found("/v1/admin/users?q=an&limit=1", "users", "id")
	cursor := page["next"].(string)
	second, _ := found("/v1/admin/users?q=an&limit=1&cursor="+cursor, "users", "id")
	if first[0] == second[0] {
		t.Errorf("the second page begins with %v again", second)
	}
	b.admin(http.StatusBadRequest, "GET", "/v1/admin/users?q=a&limit=1&cursor="+cursor, "")

	for n, name := range []string{"ann", "anna", "ann"} {
		b.admin(http.StatusCreated, "POST", "/v1/admin/sessions", fmt.Sprintf(`{"subject":"%s","carrier":"%s"}`, ids[name], []string{"bearer", "cookie"}[n%2]))
	}
	for query, want := range map[string]string{
		"user=" + ids["ann"]: "2", "carrier=cookie": "1", "client=default": "3", "client=none": "0", "since=2020-01-01T00:00:00Z": "3", "since=9000-01-01T00:00:00Z": "0",
		"user=" + ids["ann"] + "&carrier=bearer&client=default": "2", "acr=urn:none": "0", "address=203.0.113.7": "0", "device=nothing": "0", "": "3",
	} {
		got, page := found("/v1/admin/sessions?count=true&"+query, "sessions", "id")
		if fmt.Sprint(len(got)) != want || fmt.Sprint(page["count"]) != want || page["order"] == nil {
			t.Errorf("sessions?%s: %v, count %v, order %v, want %s", query, got, page["count"], page["order"], want)
		}
	}
	for _, path := range []string{
		"users?disabled=1", "users?created=yesterday", "users?q=" + strings.Repeat("a", 255), "users?role=" + url.QueryEscape("a b"), "users?count=yes", "users?q=a&q=b", "users?name=a",
		"sessions?carrier=none", "sessions?address=203.0.113.0/24", "sessions?since=now", "sessions?client=%C3%A4", "sessions?user=*", "sessions?limit=201", "sessions?cursor=AAAA",
	} {
		b.admin(http.StatusBadRequest, "GET", "/v1/admin/"+path, "")
	}
}

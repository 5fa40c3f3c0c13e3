package server_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// A refusal names the rule that was broken, and says once that something was refused.
func TestRefusalsNameTheRule(t *testing.T) {
	b := newBench(t)
	for _, c := range []struct {
		want               int
		method, path, body string
		title, detail      string
	}{
		{422, "POST", "/v1/admin/users", `{"identifier":"a@b@c"}`, "Identifier is not acceptable", "it has at most one @, with text on both sides"},
		{422, "POST", "/v1/admin/users", `{"identifier":" "}`, "Identifier is not acceptable", "it has no visible character"},
		{422, "POST", "/v1/admin/users", `{"identifier":"a b"}`, "Identifier is not acceptable", "it has U+0020, a space or a line break, as character 2"},
		{422, "POST", "/v1/admin/users", `{"identifier":"` + strings.Repeat("ﷺ", 80) + `"}`, "Identifier is not acceptable", "it is longer than 254 bytes"},
		{422, "POST", "/v1/admin/users", `{"identifier":"ann","roles":["a b"]}`, "User is not acceptable", "a role is 1 to 64 printable ASCII characters without spaces"},
		{422, "POST", "/v1/admin/users", `{"identifier":"ann","name":"An\u202en"}`, "User is not acceptable", "the name has U+202E, which changes the direction of text, as character 3"},
		{400, "PUT", "/v1/admin/clients/shop", `{"name":"a\tb"}`, "Bad request", "client: the name has U+0009, a control character, as character 2"},
		{400, "POST", "/v1/admin/revocations", `{"scope":"subject","id":"x","reason":"a\u2029"}`, "Bad request", "the reason has U+2029, a line break, as character 2"},
		{422, "POST", "/v1/admin/apikeys", `{"client":"svc","scopes":["all"]}`, "API key is not acceptable", `unknown scope "all": want `},
		{422, "POST", "/v1/admin/apikeys", `{"client":"svc","scopes":["admin"],"audience":["a b"]}`, "API key is not acceptable", "an audience is 1 to 200"},
		{400, "PUT", "/v1/admin/clients/shop", `{"absolute":"25h"}`, "Bad request", "client: absolute is 25h: want whole seconds from 1m to 24h, which the server has"},
		{400, "PUT", "/v1/admin/clients/shop", `{"idle":"1d"}`, "Bad request", "a lifetime is whole seconds with units, such as 90s, 15m or 8h"},
		{400, "PUT", "/v1/admin/clients/shop", `{"idle":600}`, "Bad request", "member \"idle\" has the wrong type"},
		{400, "PUT", "/v1/admin/clients/shop", `{"scopes":["a b"]}`, "Bad request", "client: a scope is 1 to 64 printable ASCII characters without spaces"},
		{400, "POST", "/v1/admin/sessions", `{"subject":"*"}`, "Bad request", "a subject is neither empty nor *"},
		{400, "POST", "/v1/admin/revocations", `{"scope":"grant","id":"ses_1"}`, "Bad request", "the id of a grant is a session id, a space and a client id"},
	} {
		got := b.admin(c.want, c.method, c.path, c.body)
		detail := got["detail"].(string)
		if got["title"] != c.title || !strings.HasPrefix(detail, c.detail) {
			t.Errorf("%s %s %s = %v: %v, want %s: %s", c.method, c.path, c.body, got["title"], detail, c.title, c.detail)
		}
		if strings.Contains(detail, "not acceptable") || strings.Contains(detail, "bad request") {
			t.Errorf("%s %s %s says twice that it is refused: %v", c.method, c.path, c.body, detail)
		}
	}
	if res, body := b.call("POST", "/v1/register", `{"identifier":"a\u202eb c","password":"`+pass+`"}`); res.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(body, "U+0020") {
		t.Errorf("register = %d %s", res.StatusCode, body)
	}
}

// Names are in any script, with the joiners that it needs, and a reason too.
func TestNamesOfPeople(t *testing.T) {
	b := newBench(t)
	const name = "علی\u200cرضا 👩\u200d👧 \u2019\u0378\ue000"
	body, err := json.Marshal(map[string]string{"identifier": "ali", "name": name})
	must(t, err)
	user := b.admin(201, "POST", "/v1/admin/users", string(body))["user"].(map[string]any)
	if user["name"] != name {
		t.Errorf("the name is %q", user["name"])
	}
	body, err = json.Marshal(map[string]string{"name": name})
	must(t, err)
	b.admin(200, "PUT", "/v1/admin/clients/shop", string(body))
	body, err = json.Marshal(map[string]string{"scope": "subject", "id": user["id"].(string), "reason": "Kündigung: " + name})
	must(t, err)
	b.admin(200, "POST", "/v1/admin/revocations", string(body))
	if _, trail := b.call("GET", "/v1/admin/audit", "", "Authorization", "Bearer "+b.key); !strings.Contains(trail, "Kündigung: علی") {
		t.Errorf("the audit trail has another reason: %s", trail)
	}
}

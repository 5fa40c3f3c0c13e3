package server_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/accounts"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/outbox"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/source"
)

// document is as much of OpenAPI 3.1 as ours uses.
type document struct {
	OpenAPI string
	Info    struct {
		Rights map[rights.Right]struct{ Roles, Scopes []string } `json:"x-rights"`
	}
	Paths      map[string]map[string]operation
	Components struct {
		Schemas         map[string]schema
		Responses       map[string]response
		SecuritySchemes map[string]any
	}

	templates map[string]*regexp.Regexp // by path
}

type operation struct {
	Summary    string
	Right      rights.Right `json:"x-right"`
	Parameters []struct {
		Name, In string
		Required bool
	}
	RequestBody struct {
		Required bool
		Content  map[string]struct{ Schema schema }
	}
	Security  []map[string][]string
	Responses map[string]response
}

type response struct {
	Ref     string `json:"$ref"`
	Content map[string]struct{ Schema schema }
}

type schema = map[string]any

var readDocument = sync.OnceValue(func() *document {
	data, err := os.ReadFile("openapi.json")
	if err != nil {
		panic(err)
	}
	d := new(document)
	if err := json.Unmarshal(data, d); err != nil {
		panic(err)
	}
	d.templates = map[string]*regexp.Regexp{}
	for template := range d.Paths {
		expression := regexp.MustCompile(`\\\{\w+\\\}`).ReplaceAllString(regexp.QuoteMeta(template), `[^/]+`)
		d.templates[template] = regexp.MustCompile("^" + expression + "$")
	}
	return d
})

// check reports where v is not what s says. Keywords that it does not know are an
// error: what is not checked must not look as if it were.
func (d *document) check(at string, s schema, v any) error {
	if r, ok := s["$ref"].(string); ok {
		s = d.Components.Schemas[strings.TrimPrefix(r, "#/components/schemas/")]
		if s == nil {
			return fmt.Errorf("%s: no schema %s", at, r)
		}
	}
	for word := range s {
		if !slices.Contains([]string{"type", "properties", "required", "additionalProperties", "items", "maxItems", "enum", "format", "description"}, word) {
			return fmt.Errorf("%s: keyword %q is not known to this test", at, word)
		}
	}
	if enum, ok := s["enum"].([]any); ok && !slices.Contains(enum, v) {
		return fmt.Errorf("%s: %v is not one of %v", at, v, enum)
	}
	wrong := fmt.Errorf("%s: %v is not of type %v", at, v, s["type"])
	switch s["type"] {
	case "string":
		text, ok := v.(string)
		if !ok {
			return wrong
		}
		if _, err := time.Parse(time.RFC3339Nano, text); s["format"] == "date-time" && (err != nil || !strings.HasSuffix(text, "Z")) {
			return fmt.Errorf("%s: %q is not a time in UTC", at, text)
		}
	case "number":
		if _, ok := v.(json.Number); !ok {
			return wrong
		}
	case "integer":
		if n, ok := v.(json.Number); !ok || strings.ContainsAny(n.String(), ".eE") {
			return wrong
		}
	case "boolean":
		if _, ok := v.(bool); !ok {
			return wrong
		}
	case "array":
		list, ok := v.([]any)
		if !ok {
			return wrong
		}
		if most, is := s["maxItems"].(float64); is && len(list) > int(most) {
			return fmt.Errorf("%s: %d items, at most %v are documented", at, len(list), most)
		}
		for n, item := range list {
			if err := d.check(at+"["+strconv.Itoa(n)+"]", s["items"].(schema), item); err != nil {
				return err
			}
		}
	case "object":
		return d.checkObject(at, s, v)
	default:
		return fmt.Errorf("%s: type %v is not known to this test", at, s["type"])
	}
	return nil
}

func (d *document) checkObject(at string, s schema, v any) error {
	members, ok := v.(map[string]any)
	if !ok {
		return fmt.Errorf("%s: %v is not an object", at, v)
	}
	required, _ := s["required"].([]any)
	for _, name := range required {
		if _, ok := members[name.(string)]; !ok {
			return fmt.Errorf("%s: %v is missing", at, name)
		}
	}
	properties, _ := s["properties"].(schema)
	for name, member := range members {
		of, known := properties[name].(schema)
		if !known {
			switch additional := s["additionalProperties"].(type) {
			case bool:
				return fmt.Errorf("%s: %q is not documented", at, name)
			case schema:
				of = additional
			default:
				continue
			}
		}
		if err := d.check(at+"."+name, of, member); err != nil {
			return err
		}
	}
	return nil
}

// find returns the operation that answers a path.
func (d *document) find(method, path string) (pattern string, op operation, ok bool) {
	for template, methods := range d.Paths {
		// A literal path wins over a template, as it does in a ServeMux.
		if found, has := methods[strings.ToLower(method)]; has && d.templates[template].MatchString(path) && (!ok || template == path) {
			pattern, op, ok = method+" "+template, found, true
		}
	}
	return pattern, op, ok
}

// conform holds an answer, and the request if it was granted, against the document. It
// is called for whatever a test of this package sends.
func (b *bench) conform(method, target, sent string, header http.Header, status int, answered http.Header, body string) {
	b.Helper()
	d := readDocument()
	path, query, _ := strings.Cut(target, "?")
	pattern, op, ok := d.find(strings.Replace(method, "HEAD", "GET", 1), path)
	if !ok || method == "HEAD" {
		return
	}
	granted := status < 300
	if granted {
		b.seen.Store(pattern, true)
		values, err := url.ParseQuery(query)
		if err != nil {
			b.Errorf("%s: query %q was accepted", pattern, query)
		}
		for name := range values {
			if !slices.ContainsFunc(op.Parameters, func(p struct {
				Name, In string
				Required bool
			}) bool {
				return p.In == "query" && p.Name == name
			}) && name != "_method" {
				b.Errorf("%s: parameter %q is not documented", pattern, name)
			}
		}
		if err := d.checkRequest(op, header.Get("Content-Type"), sent); err != nil {
			b.Errorf("%s: an undocumented request was granted: %v", pattern, err)
		}
	}
	r, ok := op.Responses[strconv.Itoa(status)]
	if !ok {
		r = op.Responses["default"]
		if granted {
			b.Errorf("%s: status %d is not documented", pattern, status)
		}
	}
	if r.Ref != "" {
		r = d.Components.Responses[strings.TrimPrefix(r.Ref, "#/components/responses/")]
	}
	media, _, _ := mime.ParseMediaType(answered.Get("Content-Type"))
	if len(r.Content) == 0 {
		if body != "" {
			b.Errorf("%s: %d has a body: %.200s", pattern, status, body)
		}
		return
	}
	content, ok := r.Content[media]
	if !ok {
		b.Errorf("%s: %d is %q: %.200s", pattern, status, media, body)
		return
	}
	var v any = body
	var err error
	if strings.HasSuffix(media, "json") {
		v, err = decode(body)
	}
	if err == nil {
		err = d.check("answer", content.Schema, v)
	}
	if err != nil {
		b.Errorf("%s: %d: %v in %.300s", pattern, status, err, body)
	}
}

func (d *document) checkRequest(op operation, contentType, sent string) error {
	if len(op.RequestBody.Content) == 0 || (sent == "" && !op.RequestBody.Required) {
		return nil
	}
	media, _, _ := mime.ParseMediaType(contentType)
	content, ok := op.RequestBody.Content[media]
	if !ok {
		return fmt.Errorf("media type %q", media)
	}
	if media == "application/x-www-form-urlencoded" {
		form, err := url.ParseQuery(sent)
		if err != nil {
			return err
		}
		members := map[string]any{}
		for name := range form {
			members[name] = form.Get(name)
		}
		if form.Get("token") == "" && members["token"] == nil && op.Summary != "" && strings.Contains(op.Summary, "7662") {
			members["token"] = "" // no token is inactive, too
		}
		return d.check("request", content.Schema, members)
	}
	v, err := decode(sent)
	if err != nil {
		return err
	}
	return d.check("request", content.Schema, v)
}

func decode(text string) (v any, err error) {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	err = dec.Decode(&v)
	return v, err
}

// OPS-05: what is served is what is described, and the other way round.
func TestDocumentListsTheRoutes(t *testing.T) {
	b := newBench(t)
	d := readDocument()
	var described []string
	for path, methods := range d.Paths {
		for method, op := range methods {
			described = append(described, strings.ToUpper(method)+" "+path)
			for _, p := range op.Parameters {
				if (p.In == "path") != strings.Contains(path, "{"+p.Name+"}") || p.Required != (p.In == "path") {
					t.Errorf("%s %s: parameter %+v", method, path, p)
				}
			}
			if strings.Count(path, "{") > len(op.Parameters) || op.Summary == "" || op.Responses["default"].Ref == "" {
				t.Errorf("%s %s lacks a parameter, a summary or the errors", method, path)
			}
			if right := b.server.RightOf(strings.ToUpper(method) + " " + path); op.Right != right {
				t.Errorf("%s %s: described with the x-right %q, served with %q", method, path, op.Right, right)
			}
			for _, way := range op.Security {
				for name := range way {
					if d.Components.SecuritySchemes[name] == nil {
						t.Errorf("%s %s: no security scheme %s", method, path, name)
					}
				}
			}
			if admin := strings.HasPrefix(path, "/v1/admin/"); admin && len(op.Security) != 3 {
				t.Errorf("%s %s: security %v", method, path, op.Security)
			}
		}
	}
	slices.Sort(described)
	if served := b.server.ProgramPatterns(); !slices.Equal(served, described) {
		t.Errorf("served\n%v\ndescribed\n%v", served, described)
	}
	res, body := b.call("GET", "/openapi.json", "")
	if res.StatusCode != http.StatusOK || !json.Valid([]byte(body)) || d.OpenAPI != "3.1.0" {
		t.Errorf("the document = %d, OpenAPI %s", res.StatusCode, d.OpenAPI)
	}
}

// The document says who has which right, and is right about it.
func TestDocumentSaysWhoMay(t *testing.T) {
	said := readDocument().Info.Rights
	if len(said) != len(rights.All()) {
		t.Errorf("the document has the rights %v", said)
	}
	for _, right := range rights.All() {
		if is := said[right]; !slices.Equal(is.Roles, accounts.RolesWith(right)) || !slices.Equal(is.Scopes, accounts.ScopesWith(right)) {
			t.Errorf("%s: the document says %v, want %v and %v", right, is, accounts.RolesWith(right), accounts.ScopesWith(right))
		}
	}
}

// Every operation is granted once, and answers as documented: conform sees to that.
func TestEveryOperationAsDocumented(t *testing.T) {
	taken := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer taken.Close()
	b := assemble(t, server.Config{URL: "http://127.0.0.1:8080", Registration: true, Monitor: checks(t, taken.URL)})
	do := func(method, path, body string, header ...string) string {
		t.Helper()
		w := b.answer(method, path, body, header...)
		if w.Code >= 300 {
			t.Fatalf("%s %s = %d %s", method, path, w.Code, w.Body)
		}
		return w.Body.String()
	}
	member := func(text string, path ...string) string {
		t.Helper()
		v, err := decode(text)
		must(t, err)
		for _, name := range path {
			if list, ok := v.([]any); ok {
				n, err := strconv.Atoi(name)
				must(t, err)
				v = list[n]
				continue
			}
			v = v.(map[string]any)[name]
		}
		return v.(string)
	}
	key := []string{"Authorization", "Bearer " + b.key}
	do("POST", "/v1/register", `{"identifier":"bob","password":"an evening by the river","name":"Bob","carrier":"bearer"}`)
	got := do("POST", "/v1/login", `{"identifier":"bob","password":"an evening by the river","carrier":"bearer"}`)
	next := do("POST", "/v1/refresh", `{"refresh_token":"`+member(got, "refresh_token")+`"}`)
	b.riddled()
	asked := do("POST", "/v1/login", `{"identifier":"alice","method":"riddle","input":{},"carrier":"bearer"}`)
	do("POST", "/v1/login/continue", `{"attempt":"`+member(asked, "attempt")+`","answer":{"answer":"a man"}}`)
	bob := []string{"Authorization", "Bearer " + member(next, "access_token")}
	id := member(next, "session", "subject")
	do("GET", "/v1/session", "", bob...)
	do("GET", "/v1/csrf", "", bob...)

	stolen := b.session(id, issuer.Request{Carrier: counterfoil.CarrierBearer, UserAgent: "x"}).Refresh.Reveal()
	for range 2 {
		fresh, err := b.issuer.Refresh(t.Context(), stolen, issuer.Renewal{})
		must(t, err)
		_, err = b.issuer.Refresh(t.Context(), fresh.Refresh.Reveal(), issuer.Renewal{})
		if err == nil {
			break
		}
	}
	b.answer("POST", "/v1/refresh", `{"refresh_token":"`+stolen+`"}`)
	do("GET", "/v1/activity?limit=200", "", bob...)
	do("DELETE", "/v1/notices/"+member(do("GET", "/v1/sessions", "", bob...), "notices", "0", "id"), "", bob...)
	other := b.session(id, issuer.Request{Carrier: counterfoil.CarrierCookie})
	b.grant(other.Session.ID)
	do("DELETE", "/v1/sessions/"+other.Session.ID+"/grants/app", "", bob...)
	do("DELETE", "/v1/sessions/"+other.Session.ID, "", bob...)
	do("DELETE", "/v1/sessions", "", bob...)
	stepped := do("POST", "/v1/session/step-up", `{"password":"an evening by the river"}`, bob...)
	bob[1] = "Bearer " + member(stepped, "access_token")
	got = do("POST", "/v1/password", `{"current":"an evening by the river","next":"a morning by the river"}`, bob...)
	do("POST", "/v1/logout", "", "Authorization", "Bearer "+member(got, "access_token"))

	do("PUT", "/v1/admin/clients/shop", `{"name":"Shop","carriers":["bearer"],"audience":["https://shop.test"],"scopes":["read"],"origins":["https://shop.test"],"same_site":"strict","disabled":false,"access_ttl":"1m","idle":"600s","refresh_idle":"1h","absolute":"8h"}`, key...)
	do("GET", "/v1/admin/clients", "", key...)
	do("GET", "/v1/admin/clients/shop", "", key...)
	made := do("POST", "/v1/admin/users", `{"identifier":"carol","name":"Carol","roles":["staff"]}`, key...)
	do("POST", "/v1/invitations/check", `{"token":"`+member(made, "invitation", "token")+`"}`)
	do("POST", "/v1/invitations", `{"token":"`+member(made, "invitation", "token")+`","password":"a night at the station"}`)
	do("POST", "/v1/admin/users", `{"identifier":"erin@example.com","address":"erin@example.org","address_verified":true,"mail":true}`, key...)
	handle := member(do("POST", "/v1/recovery", `{"identifier":"erin@example.org"}`), "recovery")
	mail := b.box.last(t)
	chosen := do("POST", "/v1/recovery/code", `{"recovery":"`+handle+`","code":"`+mail.Code.Reveal()+`"}`)
	do("POST", "/v1/invitations", `{"token":"`+member(chosen, "token")+`","password":"a day at the station"}`)
	erin := []string{"Authorization", "Bearer " + member(do("POST", "/v1/login", `{"identifier":"erin@example.com","password":"a day at the station","carrier":"bearer"}`), "access_token")}
	do("GET", "/v1/address", "", erin...)
	handle = member(do("POST", "/v1/address", `{"address":"erin@example.net"}`, erin...), "confirmation")
	do("POST", "/v1/address/confirm", `{"confirmation":"`+handle+`","code":"`+b.box.last(t).Code.Reveal()+`"}`, erin...)
	do("POST", "/v1/address/undo", `{"token":"`+b.box.last(t).Token.Reveal()+`"}`)
	do("POST", "/v1/admin/users/import", `{"users":[{"identifier":"dave","name":"Dave","status":"active","roles":["staff"],"created":"2019-01-02T03:04:05Z","password_hash":"$2b$04$NXuVJcpgiw5QyWw5h/OexeqkC3Ezivx7sl/vpSdKHU1F86fr3YBQK"},{"identifier":"a@b@c"}],"dry_run":false}`, key...)
	carol := "/v1/admin/users/" + member(made, "user", "id")
	do("GET", carol, "", key...)
	do("PATCH", carol, `{"name":"C.","status":"active","roles":["boss"]}`, key...)
	do("POST", carol+"/invitations", "", key...)
	do("PATCH", carol, `{"address":"carol@example.com","address_verified":false}`, key...)
	do("POST", carol+"/invitations", `{"mail":true}`, key...)
	do("GET", "/v1/admin/users?limit=2", "", key...)
	do("GET", "/v1/admin/users?q=car&role=staff&disabled=false&created=2020-01-01T00:00:00Z&count=true", "", key...)
	issued := do("POST", "/v1/admin/sessions", `{"subject":"`+member(made, "user", "id")+`","client":"shop","scope":"read","roles":["staff"]}`, key...)
	boss := b.session("boss", issuer.Request{Client: "console", Carrier: counterfoil.CarrierBearer}, "admin")
	do("POST", carol+"/impersonation", `{"reason":"ticket 7","carrier":"bearer","client":"shop"}`, "Authorization", "Bearer "+boss.Access.Reveal())
	do("GET", carol+"/sessions", "", key...)
	do("GET", "/v1/admin/sessions/"+member(issued, "session", "id"), "", key...)
	do("GET", "/v1/admin/sessions?client=shop&count=true&limit=1", "", key...)
	do("POST", "/oauth/introspect", url.Values{"token": {member(issued, "access_token")}}.Encode(), append(key, "Content-Type", urlencoded)...)
	token := do("POST", "/oauth/token", url.Values{"grant_type": {"refresh_token"}, "client_id": {"shop"}, "refresh_token": {member(issued, "refresh_token")}}.Encode(), "Content-Type", urlencoded)
	do("POST", "/oauth/revoke", url.Values{"token": {member(token, "access_token")}}.Encode(), "Content-Type", urlencoded)
	do("DELETE", "/v1/admin/sessions/"+member(issued, "session", "id"), "", key...)
	do("DELETE", carol+"/undos", "", key...)
	do("DELETE", carol+"/sessions", "", key...)
	do("DELETE", carol, "", key...)
	do("DELETE", "/v1/admin/clients/shop", "", key...)
	b.client("web", clients.Client{Origins: []string{appOrigin}})
	web := b.session(id, issuer.Request{Client: "web", Carrier: counterfoil.CarrierCookie})
	to, err := url.Parse(b.answer("GET", handoverPage(nil), "", "Cookie", source.InsecureCookieName+"="+web.Access.Reveal()).Header().Get("Location"))
	must(t, err)
	code := to.Query().Get("code")
	hosted := do("POST", "/v1/handover", `{"code":"`+code+`","verifier":"`+verifier+`","origin":"`+appOrigin+`","client":"web"}`, "Authorization", "Bearer "+b.handoverKey("gateway", "web"))
	listed := do("GET", "/v1/admin/sessions/"+web.Session.ID, "", key...)
	do("DELETE", "/v1/sessions/"+web.Session.ID+"/hosts/"+member(listed, "hosts", "0", "id"), "", "Cookie", source.InsecureCookieName+"="+web.Access.Reveal(), "Origin", b.url)
	do("POST", "/v1/admin/revocations", `{"scope":"subject","id":"someone","reason":"a test"}`, key...)
	do("GET", "/v1/admin/revocations?scope=all", "", key...)
	b.session("usr_bulk", issuer.Request{Carrier: counterfoil.CarrierBearer, UserAgent: "Phone"})
	bulk := `"filter":{"user":"usr_bulk","carrier":"bearer","device":"phone","since":"2020-01-02T03:04:05Z"}`
	plan := do("POST", "/v1/admin/revocations", `{`+bulk+`,"dry_run":true}`, key...)
	job := do("POST", "/v1/admin/revocations", `{`+bulk+`,"reason":"a test","token":"`+member(plan, "token")+`"}`, key...)
	do("GET", "/v1/admin/revocations/"+member(job, "id"), "", key...)
	do("GET", "/v1/admin/keys", "", key...)
	do("POST", "/v1/admin/keys/rotate", "", key...)
	service := "/v1/admin/apikeys/" + member(do("POST", "/v1/admin/apikeys", `{"client":"svc","scopes":["introspect"],"audience":["https://shop.test"]}`, key...), "id")
	do("GET", service, "", key...)
	do("DELETE", service, "", key...)
	do("GET", "/v1/admin/apikeys", "", "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("bench:"+b.key)))
	do("GET", "/v1/admin/audit?limit=200&action=login,user.change&outcome=ok,refused&by=issuer&from=2020-01-02T03:04:05Z&to=2120-01-02T03:04:05Z&subject="+id, "", key...)
	do("GET", "/v1/admin/audit?format=jsonl&action=login", "", key...)
	do("GET", "/v1/admin/audit?format=csv", "", key...)
	for _, list := range []string{"users", "sessions"} {
		do("GET", "/v1/admin/"+list+"?format=jsonl", "", key...)
		do("GET", "/v1/admin/"+list+"?format=csv", "", key...)
	}
	do("POST", "/v1/admin/audit/verify", `{"anchors":[{"n":1,"hash":"00"}]}`, key...)
	do("GET", "/v1/admin/verifiers?limit=2", "", key...)
	again := b.letter(outbox.Draft{Kind: "mail", About: "reset", Subject: id, Lane: "a"})
	b.letter(outbox.Draft{Kind: "mail", Expires: time.Now()})
	do("GET", "/v1/admin/outbox?limit=1", "", key...)
	do("GET", "/v1/admin/outbox/"+again, "", key...)
	do("POST", "/v1/admin/outbox/"+again+"/redeliver", "", key...)
	do("GET", "/v1/admin/outbox?state=waiting", "", key...)
	do("DELETE", "/v1/admin/outbox/"+b.letter(outbox.Draft{Kind: "mail"}), "", key...)
	do("POST", "/v1/push/"+pushID+"?status=down&message=full", "")
	do("PUT", "/v1/admin/monitor/checks/shop/mute", `{"seconds":60,"why":"a move"}`, key...)
	do("GET", "/v1/admin/monitor", "", key...)
	do("GET", "/v1/admin/monitor/checks/shop", "", key...)
	do("DELETE", "/v1/admin/monitor/checks/shop/mute", "", key...)
	b.filled("shop", time.Now().UTC())
	do("GET", "/v1/admin/monitor/checks/shop/results?step=1d&limit=1", "", key...)
	do("GET", "/v1/admin/monitor/checks/shop/results?from="+time.Now().UTC().Add(-24*time.Hour).Format(time.RFC3339), "", key...)
	do("POST", "/v1/admin/monitor/channels/ops/test", "", key...)
	own := member(do("POST", "/v1/admin/monitor/incidents", `{"title":"Slow","text":"We look at it."}`, key...), "id")
	do("POST", "/v1/admin/monitor/incidents/"+own+"/notes", `{"text":"It is over.","ended":true}`, key...)
	do("GET", "/v1/admin/monitor/incidents?limit=1", "", key...)
	do("GET", "/v1/admin/monitor/incidents/"+own, "", key...)
	do("GET", "/v1/admin/settings", "", key...)
	do("GET", "/v1/admin/stats", "", key...)
	b.issuer.Feed().Stop() // a stream of events ends at once then
	do("GET", "/v1/admin/audit?log=true&limit=200", "", key...)
	do("GET", "/v1/admin/log/events?after=0000000000000000.0", "", key...)
	for _, path := range []string{"/v1/log", "/.well-known/jwks.json", "/.well-known/oauth-authorization-server", "/openapi.json", "/healthz", "/readyz"} {
		do("GET", path, "", key...)
	}
	for _, pattern := range b.server.ProgramPatterns() {
		if _, ok := b.seen.Load(pattern); !ok {
			t.Errorf("%s was never granted: add it above", pattern)
		}
	}
	// OPS-01, SES-02: of all that was handed out and typed in, nothing was kept or logged.
	kept := b.dump() + b.log.String()
	for _, credential := range []string{"cfr_", "cfk_", "cfi_", "cfa_", "cfp_", "cfv_", "cfu_", mail.Code.Reveal(), handle, member(asked, "attempt")[26:], "eyJhbGciOi", other.Access.Reveal(), code, verifier, member(hosted, "credential"), "by the river", "at the station", b.key[4:]} {
		if at := strings.Index(kept, credential); at >= 0 {
			t.Errorf("%q was kept or logged: %.200s", credential, kept[max(0, at-100):])
		}
	}
}

const urlencoded = "application/x-www-form-urlencoded"

package server

import (
	"cmp"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/source"
)

// apiKeysPage is a page of API keys.
type apiKeysPage struct {
	consoleFrame
	Keys []api.APIKey
	Next string
}

func (v *visit) apiKeys() error {
	query := v.listing(consolePage)
	list := get(at("apikeys"), query)
	var all api.APIKeys
	if err := v.send(list, &all); err != nil {
		return err
	}
	f, err := v.page([]string{"apikeys"}, "API keys", list)
	if err != nil {
		return err
	}
	return v.render(http.StatusOK, "console_apikeys.html", &apiKeysPage{f, all.Keys, v.nextPage(query, all.Next)})
}

func newAPIKey(v *visit, values url.Values) (*formPage, error) {
	f := v.formAt([]string{"apikeys"}, "New API key", inConsole("apikeys"), "Make the key")
	f.Says = []string{"The key is shown once, on the next page."}
	body := api.NewAPIKey{
		Client: asked(values, "client", ""), Scopes: entries(asked(values, "scope", "revocation:read introspect")),
		Audience: entries(asked(values, "audience_lines", "")), Clients: entries(asked(values, "clients", "")), User: asked(values, "user", ""),
	}
	expires := asked(values, "expires", "")
	f.Fields = []formField{
		{Kind: "text", ID: "client", Label: "Name of the program", Value: body.Client, Required: true, Hint: "It is in the audit trail with what the key does."},
		{Kind: "text", ID: "scope", Label: "Scopes", Value: strings.Join(body.Scopes, " "), Required: true, Hint: "revocation:read and introspect are for services; sessions:create, sessions:handover, sessions:exchange; admin is everything."},
		{Kind: "lines", ID: "audience_lines", Label: "Audience", Value: strings.Join(body.Audience, "\n"), Hint: "One on each line: whose tokens it may ask about. Empty: all."},
		{Kind: "text", ID: "clients", Label: "Clients", Value: strings.Join(body.Clients, " "), Hint: "Whose sessions it may make. Empty: those of all clients."},
		{Kind: "text", ID: "user", Label: "User", Value: body.User, Hint: "The id of the user for whom it acts. It ends with the user. Empty: none."},
		{Kind: "date", ID: "expires", Label: "Good until", Value: expires, Hint: "Empty: 90 days."},
	}
	f.call = call{Method: http.MethodPost, Path: at("apikeys"), Body: body}
	if expires != "" {
		day, err := time.Parse(time.DateOnly, expires)
		if err != nil {
			return f, misfit{"expires", "A day is written as 2026-11-30."}
		}
		body.Expires = day
		f.call.Body = body
	}
	return f, nil
}

// keyMadePage shows an API key, once.
type keyMadePage struct {
	consoleFrame
	Key  string
	Line api.APIKey
}

func apiKeyMade(v *visit, f *formPage, answer []byte) error {
	var made api.MadeAPIKey
	if err := json.Unmarshal(answer, &made); err != nil {
		return err
	}
	page := keyMadePage{v.frameAt([]string{"apikeys"}, "API key of "+made.Client, ""), made.Key, made.APIKey}
	if err := page.show(v.s, f.call); err != nil {
		return err
	}
	return v.render(http.StatusCreated, "console_apikey.html", &page)
}

func deleteAPIKey(v *visit, _ url.Values) (*formPage, error) {
	id := v.r.PathValue("id")
	var k api.APIKey
	if err := v.send(get(at("apikeys", id), nil), &k); err != nil {
		return nil, err
	}
	f := v.formAt([]string{"apikeys"}, "Delete the API key of "+k.Client, inConsole("apikeys"), "Delete the key")
	f.Says = []string{"The program that has it is refused from now on."}
	f.Name, f.Danger = cmp.Or(k.Client, k.ID), true // a damaged key has no client
	f.call, f.deed = call{Method: http.MethodDelete, Path: at("apikeys", id)}, apiKeyDeleted
	return f, nil
}

// keysPage is the signing keys, and when each signs.
type keysPage struct {
	consoleFrame
	Keys     []keyLine
	From, To time.Time // of the plot
}

// keyLine is a signing key in words.
type keyLine struct {
	ID, Alg, Status, Says string
	Made, From            time.Time
	Live                  bool // it is published, so it can be revoked
	Signs                 signing
}

func (v *visit) keys() error {
	list := get(at("keys"), nil)
	var all api.SigningKeys
	if err := v.send(list, &all); err != nil {
		return err
	}
	f, err := v.page([]string{"keys"}, "Signing keys", list)
	if err != nil {
		return err
	}
	lines, whole := signingTimes(all.Keys, v.s.now())
	page := keysPage{consoleFrame: f, From: whole.from, To: whole.to}
	for n, k := range all.Keys {
		page.Keys = append(page.Keys, keyLine{
			ID: k.ID, Alg: string(k.Alg), Status: string(k.Status), Says: keySays[k.Status],
			Made: k.Created, From: k.From, Live: k.Status != keyring.Revoked, Signs: lines[n],
		})
	}
	return v.render(http.StatusOK, "console_keys.html", &page)
}

var keySays = map[keyring.Status]string{
	keyring.Next:     "is published, and will sign",
	keyring.Active:   "signs",
	keyring.Retiring: "signs no more; what it signed is still good",
	keyring.Revoked:  "what it signed is refused",
}

func rotateKey(v *visit, _ url.Values) (*formPage, error) {
	f := v.formAt([]string{"keys"}, "Rotate the signing key", inConsole("keys"), "Rotate")
	f.Says = []string{"Another key signs as soon as verifiers know it. Nobody is signed out: what the present key has signed is good until it expires. If the key has leaked, revoke it."}
	f.call, f.deed = call{Method: http.MethodPost, Path: at("keys", "rotate")}, keyRotated
	return f, nil
}

func revokeKey(v *visit, _ url.Values) (*formPage, error) {
	id := v.r.PathValue("id")
	f := v.formAt([]string{"keys"}, "Revoke a signing key", inConsole("keys"), "Revoke the key")
	f.Says = []string{"Verifiers refuse every token that " + id + " has signed. Sessions go on: clients get new tokens with their next refresh. Another key signs from now on."}
	f.Name, f.Danger = id, true
	f.call, f.deed = call{Method: http.MethodPost, Path: at("revocations"), Body: api.Revocation{Scope: source.ScopeKey, ID: id, Reason: "revoked by an administrator"}}, keyRevoked
	return f, nil
}

package server

import (
	"net/http"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/keyring"
)

// clientBody is what may be set of a client.
type clientBody struct {
	Name     string                `json:"name,omitempty"`
	Carriers []counterfoil.Carrier `json:"carriers,omitempty"`
	Audience []string              `json:"audience,omitempty"`
	Scopes   []string              `json:"scopes,omitempty"`
	Origins  []string              `json:"origins,omitempty"`
	SameSite string                `json:"same_site,omitempty"`
	Disabled bool                  `json:"disabled"`

	EncryptionKey *issuer.EncryptionKey `json:"encryption_key,omitempty"`
}

type clientView struct {
	ID string `json:"id"`
	clientBody
}

func viewClient(c *issuer.Client) clientView {
	return clientView{c.ID, clientBody{c.Name, c.Carriers, c.Audience, c.Scopes, c.Origins, c.SameSite, c.Disabled, c.EncryptionKey}}
}

func (s *Server) adminClients(w http.ResponseWriter, r *http.Request, _ caller) error {
	all, err := s.issuer.Clients(r.Context())
	if err != nil {
		return err
	}
	views := []clientView{}
	for n := range all {
		views = append(views, viewClient(&all[n]))
	}
	return writeJSON(w, http.StatusOK, map[string][]clientView{"clients": views})
}

func (s *Server) client(r *http.Request) (*issuer.Client, error) {
	id, err := pathID(r, "id")
	if err != nil {
		return nil, err
	}
	c, err := s.issuer.Client(r.Context(), id)
	return c, missing(err)
}

func (s *Server) adminClient(w http.ResponseWriter, r *http.Request, _ caller) error {
	c, err := s.client(r)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, viewClient(c))
}

// adminSetClient registers a client or sets all of it anew: what is absent from the
// body is empty from then on.
func (s *Server) adminSetClient(w http.ResponseWriter, r *http.Request, who caller) error {
	var b clientBody
	id, err := pathID(r, "id")
	if err != nil {
		return err
	}
	if err := readJSON(w, r, &b); err != nil {
		return err
	}
	set := issuer.Client{
		ID: id, Name: b.Name, Carriers: b.Carriers, Audience: b.Audience, Scopes: b.Scopes,
		Origins: b.Origins, SameSite: b.SameSite, Disabled: b.Disabled, EncryptionKey: b.EncryptionKey,
	}
	if err := s.issuer.SetClient(r.Context(), id, act(w, r, who.by, ""), func(c *issuer.Client) { *c = set }); err != nil {
		return err
	}
	s.knownOrigins.forget()
	return writeJSON(w, http.StatusOK, viewClient(&set))
}

func (s *Server) adminDeleteClient(w http.ResponseWriter, r *http.Request, who caller) error {
	id, err := pathID(r, "id")
	if err != nil {
		return err
	}
	if err := missing(s.issuer.DeleteClient(r.Context(), id, act(w, r, who.by, ""))); err != nil {
		return err
	}
	s.knownOrigins.forget()
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) adminKeys(w http.ResponseWriter, r *http.Request, _ caller) error {
	return writeJSON(w, http.StatusOK, map[string][]keyring.Description{"keys": s.issuer.SigningKeys()})
}

// adminRotate has another key sign when verifiers know it. To take a key out of use, revoke it.
func (s *Server) adminRotate(w http.ResponseWriter, r *http.Request, who caller) error {
	if err := s.issuer.RotateKey(r.Context(), act(w, r, who.by, "")); err != nil {
		return err
	}
	return s.adminKeys(w, r, who)
}

// apiKeyView is an API key without the key.
type apiKeyView struct {
	ID       string    `json:"id"`
	Client   string    `json:"client"`
	Scopes   []string  `json:"scopes"`
	Audience []string  `json:"audience,omitempty"`
	User     string    `json:"user,omitempty"`
	Created  time.Time `json:"created"`
}

func viewAPIKey(k directory.APIKey) apiKeyView {
	return apiKeyView{k.ID, k.Client, k.Scopes, k.Audience, k.User, k.Created.UTC()}
}

func (s *Server) adminAPIKeys(w http.ResponseWriter, r *http.Request, _ caller) error {
	keys, err := s.users.Keys(r.Context())
	if err != nil {
		return unavailable(err)
	}
	views := []apiKeyView{}
	for _, k := range keys {
		views = append(views, viewAPIKey(k))
	}
	return writeJSON(w, http.StatusOK, map[string][]apiKeyView{"apikeys": views})
}

// adminCreateAPIKey is the only answer that ever holds the key.
func (s *Server) adminCreateAPIKey(w http.ResponseWriter, r *http.Request, who caller) error {
	var b struct {
		Client   string   `json:"client"`
		Scopes   []string `json:"scopes"`
		Audience []string `json:"audience"`
		User     string   `json:"user"`
	}
	if err := readJSON(w, r, &b); err != nil {
		return err
	}
	k, key, err := s.users.NewKey(r.Context(), act(w, r, who.by, ""), directory.APIKey{Client: b.Client, Scopes: b.Scopes, Audience: b.Audience, User: b.User})
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusCreated, struct {
		Key string `json:"key"`
		apiKeyView
	}{key.Reveal(), viewAPIKey(k)})
}

func (s *Server) adminDeleteAPIKey(w http.ResponseWriter, r *http.Request, who caller) error {
	id, err := pathID(r, "id")
	if err != nil {
		return err
	}
	if err := s.users.DeleteKey(r.Context(), id, act(w, r, who.by, "")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) adminAudit(w http.ResponseWriter, r *http.Request, _ caller) error {
	page, err := s.readPage(r, "subject")
	if err != nil {
		return err
	}
	entries, more, err := s.issuer.Audit().List(r.Context(), audit.Query{Subject: page.filter.Get("subject"), After: page.after, Limit: page.limit})
	if err != nil {
		return err
	}
	answer := struct {
		Entries []audit.Entry `json:"entries"`
		Next    string        `json:"next,omitempty"`
	}{Entries: append([]audit.Entry{}, entries...)}
	if more {
		answer.Next = s.next(r, page, entries[len(entries)-1].ID, more)
	}
	return writeJSON(w, http.StatusOK, answer)
}

package server

import (
	"net/http"

	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/internal/api"
)

func (s *Server) viewClient(c *clients.Client) api.RegisteredClient {
	return api.RegisteredClient{ID: c.ID, Damaged: c.Damaged, InForce: s.issuer.Clients().InForce(c), ClientSettings: api.ClientSettings{
		Name: c.Name, Carriers: c.Carriers, Audience: c.Audience, Scopes: c.Scopes, Origins: c.Origins,
		SameSite: c.SameSite, Opens: c.Opens, Disabled: c.Disabled, Lifetimes: c.Lifetimes, EncryptionKey: c.EncryptionKey,
	}}
}

// adminClients answers a page of clients, by id.
func (s *Server) adminClients(w http.ResponseWriter, r *http.Request, _ caller) error {
	page, err := s.readPage(r)
	if err != nil {
		return err
	}
	found, more, err := s.issuer.Clients().List(r.Context(), page.after, page.limit)
	if err != nil {
		return err
	}
	answer := api.RegisteredClients{Clients: []api.RegisteredClient{}}
	for n := range found {
		answer.Clients = append(answer.Clients, s.viewClient(&found[n]))
	}
	if more {
		answer.Next = s.next(r.URL.Path, page, found[len(found)-1].ID)
	}
	return writeJSON(w, http.StatusOK, answer)
}

func (s *Server) client(r *http.Request) (*clients.Client, error) {
	id, err := pathID(r, "id")
	if err != nil {
		return nil, err
	}
	c, err := s.issuer.Clients().Client(r.Context(), id)
	return c, missing(err)
}

func (s *Server) adminClient(w http.ResponseWriter, r *http.Request, _ caller) error {
	c, err := s.client(r)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, s.viewClient(c))
}

// adminSetClient registers a client or sets all of it anew: what is absent from the
// body is empty from then on.
func (s *Server) adminSetClient(w http.ResponseWriter, r *http.Request, who caller) error {
	var b api.ClientSettings
	id, err := pathID(r, "id")
	if err != nil {
		return err
	}
	if err := readJSON(r, &b); err != nil {
		return err
	}
	set := clients.Client{
		ID: id, Name: b.Name, Carriers: b.Carriers, Audience: b.Audience, Scopes: b.Scopes,
		Origins: b.Origins, SameSite: b.SameSite, Opens: b.Opens, Disabled: b.Disabled, Lifetimes: b.Lifetimes, EncryptionKey: b.EncryptionKey,
	}
	if err := s.issuer.Clients().Set(r.Context(), who.actor, id, act(w, r, who.by, ""), func(c *clients.Client) { *c = set }); err != nil {
		return err
	}
	s.knownOrigins.forget()
	return writeJSON(w, http.StatusOK, s.viewClient(&set))
}

func (s *Server) adminDeleteClient(w http.ResponseWriter, r *http.Request, who caller) error {
	id, err := pathID(r, "id")
	if err != nil {
		return err
	}
	if err := missing(s.issuer.Clients().Delete(r.Context(), who.actor, id, act(w, r, who.by, ""))); err != nil {
		return err
	}
	s.knownOrigins.forget()
	w.WriteHeader(http.StatusNoContent)
	return nil
}

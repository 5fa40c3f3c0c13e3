package server

import (
	"net/http"

	"github.com/counterfoil/counterfoil/accounts"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/store"
)

func (s *Server) adminKeys(w http.ResponseWriter, r *http.Request, _ caller) error {
	return writeJSON(w, http.StatusOK, api.SigningKeys{Keys: s.issuer.SigningKeys()})
}

// adminRotate has another key sign when verifiers know it. To take a key out of use, revoke it.
func (s *Server) adminRotate(w http.ResponseWriter, r *http.Request, who caller) error {
	if err := s.issuer.RotateKey(r.Context(), who.actor, act(w, r, who.by, "")); err != nil {
		return err
	}
	return s.adminKeys(w, r, who)
}

func viewAPIKey(k accounts.Key) api.APIKey {
	return api.APIKey{
		ID: k.ID, Client: k.Client, Scopes: append([]string{}, k.Scopes...), Audience: k.Audience, Clients: k.Clients, User: k.User,
		State: string(k.State), Created: k.Created.UTC(), Expires: k.Expires.UTC(), LastUsed: k.LastUsed.UTC(), IntrospectionExp: k.IntrospectionExp,
	}
}

// adminAPIKeys answers a page of API keys, by id.
func (s *Server) adminAPIKeys(w http.ResponseWriter, r *http.Request, _ caller) error {
	page, err := s.readPage(r)
	if err != nil {
		return err
	}
	found, more, err := s.users.Keys(r.Context(), page.after, page.limit)
	if err != nil {
		return store.Outage(err)
	}
	answer := api.APIKeys{Keys: []api.APIKey{}}
	for _, k := range found {
		answer.Keys = append(answer.Keys, viewAPIKey(k))
	}
	if more {
		answer.Next = s.next(r.URL.Path, page, found[len(found)-1].ID)
	}
	return writeJSON(w, http.StatusOK, answer)
}

func (s *Server) adminAPIKey(w http.ResponseWriter, r *http.Request, _ caller) error {
	id, err := pathID(r, "id")
	if err != nil {
		return err
	}
	k, err := s.users.KeyByID(r.Context(), id)
	if err != nil {
		return store.Outage(err)
	}
	return writeJSON(w, http.StatusOK, viewAPIKey(k))
}

// adminCreateAPIKey is the only answer that ever holds the key.
func (s *Server) adminCreateAPIKey(w http.ResponseWriter, r *http.Request, who caller) error {
	var b api.NewAPIKey
	if err := readJSON(r, &b); err != nil {
		return err
	}
	k, key, err := s.users.NewKey(r.Context(), who.actor, act(w, r, who.by, ""), directory.APIKey{
		Client: b.Client, Scopes: b.Scopes, Audience: b.Audience, Clients: b.Clients, User: b.User, Expires: b.Expires, IntrospectionExp: b.IntrospectionExp,
	})
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusCreated, api.MadeAPIKey{Key: key.Reveal(), APIKey: viewAPIKey(accounts.Key{APIKey: k, State: accounts.KeyActive})})
}

func (s *Server) adminDeleteAPIKey(w http.ResponseWriter, r *http.Request, who caller) error {
	id, err := pathID(r, "id")
	if err != nil {
		return err
	}
	if err := s.users.DeleteKey(r.Context(), who.actor, id, act(w, r, who.by, "")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

package server

import (
	"cmp"
	"net/http"

	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/outbox"
)

// adminOutbox lists dead letters, or what waits to be delivered.
func (s *Server) adminOutbox(w http.ResponseWriter, r *http.Request, _ caller) error {
	page, err := s.readPage(r, "state")
	if err != nil {
		return err
	}
	state := outbox.State(cmp.Or(page.filter.Get("state"), string(outbox.Dead)))
	if state != outbox.Dead && state != outbox.Waiting {
		return badRequest("state is dead or waiting")
	}
	counts, err := s.outbox.Counts(r.Context())
	if err != nil {
		return err
	}
	all, more, err := s.outbox.List(r.Context(), state, page.after, page.limit)
	if err != nil {
		return err
	}
	var whose []string
	answer := api.Outbox{Letters: []api.Letter{}, Waiting: counts.Waiting, Dead: counts.Dead, Oldest: counts.Oldest}
	for _, e := range all {
		answer.Letters, whose = append(answer.Letters, viewLetter(e)), append(whose, e.Subject)
	}
	if answer.Named, err = s.called(r.Context(), whose...); err != nil {
		return err
	}
	if more {
		answer.Next = s.next(r.URL.Path, page, all[len(all)-1].At())
	}
	return writeJSON(w, http.StatusOK, answer)
}

func viewLetter(e outbox.Entry) api.Letter {
	l := api.Letter{
		ID: e.ID, Kind: e.Kind, Lane: e.Lane, About: e.About, Subject: e.Subject, Created: e.Created, Expires: e.Expires,
		Tries: e.Tries, Reason: e.Reason, Died: e.Died, Expired: e.Useless,
	}
	if e.Died.IsZero() {
		l.Due = e.Due
	}
	return l
}

// adminLetter shows a dead letter.
func (s *Server) adminLetter(w http.ResponseWriter, r *http.Request, _ caller) error {
	id, err := pathID(r, "id")
	if err != nil {
		return err
	}
	e, err := s.outbox.Letter(r.Context(), id)
	if err != nil {
		return err
	}
	answer := api.OneLetter{Letter: viewLetter(e)}
	if answer.Named, err = s.called(r.Context(), e.Subject); err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, answer)
}

// adminRedeliver has a dead letter delivered again.
func (s *Server) adminRedeliver(w http.ResponseWriter, r *http.Request, who caller) error {
	id, err := pathID(r, "id")
	if err != nil {
		return err
	}
	if err := s.outbox.Redeliver(r.Context(), who.actor, id, act(w, r, who.by, "")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// adminDropLetter deletes a dead letter.
func (s *Server) adminDropLetter(w http.ResponseWriter, r *http.Request, who caller) error {
	id, err := pathID(r, "id")
	if err != nil {
		return err
	}
	if err := s.outbox.Drop(r.Context(), who.actor, id, act(w, r, who.by, "")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

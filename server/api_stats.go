package server

import (
	"net/http"
	"time"

	"github.com/counterfoil/counterfoil/internal/api"
)

// adminStats is what an overview shows. Its work is bounded, whatever is stored.
func (s *Server) adminStats(w http.ResponseWriter, r *http.Request, _ caller) error {
	if _, err := s.readPage(r); err != nil {
		return err
	}
	status, err := s.issuer.Feed().Status(r.Context())
	if err != nil {
		return err
	}
	tally, at, err := s.stats.sessions(r.Context(), s.issuer.Tally)
	if err != nil {
		return err
	}
	answer := api.Stats{
		Time: s.now().UTC(), Head: status.Head, Entries: status.Entries,
		Sessions: api.SessionCounts{Counted: at.UTC(), Sessions: tally.Sessions, MoreThan: tally.More, Carriers: tally.Carriers, Clients: tally.Clients},
	}
	s.stats.view(&answer)
	steady := s.time.Steady()
	for _, f := range status.Followers {
		switch {
		case f.Until.After(steady):
			answer.Node.Verifiers.Following++
			if !f.Fresh.IsZero() {
				answer.Node.Verifiers.StalestMS = max(answer.Node.Verifiers.StalestMS, steady.Sub(f.Fresh).Milliseconds())
			}
		case steady.Sub(f.Until) < lostFor:
			answer.Node.Verifiers.Lost++
		}
	}
	_, bound := s.issuer.Feed().Following()
	answer.Node.Verifiers.BoundMS = bound.Milliseconds()
	return writeJSON(w, http.StatusOK, answer)
}

// lostFor is how long a verifier that stopped following counts as lost.
const lostFor = 10 * time.Minute

// adminSettings are the settings as in force.
func (s *Server) adminSettings(w http.ResponseWriter, r *http.Request, _ caller) error {
	if _, err := s.readPage(r); err != nil {
		return err
	}
	answer := api.Settings{Settings: []api.Setting{}}
	for _, set := range s.settings {
		answer.Settings = append(answer.Settings, api.Setting(set))
	}
	return writeJSON(w, http.StatusOK, answer)
}

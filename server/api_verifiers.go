package server

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/internal/check"
)

// maxAgent is how much of a User-Agent is kept for people to see, in bytes.
const maxAgent = 100

// agent is what the program that sent r says of itself; empty if it may not be shown.
func agent(r *http.Request) string {
	text := r.UserAgent()
	text = strings.ToValidUTF8(text[:min(maxAgent, len(text))], "")
	if check.People(text) != nil {
		return ""
	}
	return text
}

// shownFor is how long a verifier is listed that asks no more: it was restarted under another id,
// or its machine is gone.
const shownFor = time.Hour

// adminVerifiers lists the verifiers that follow this node, in the order in which they came.
func (s *Server) adminVerifiers(w http.ResponseWriter, r *http.Request, _ caller) error {
	page, err := s.readPage(r)
	if err != nil {
		return err
	}
	after := uint64(0)
	if page.after != "" {
		if after, err = strconv.ParseUint(page.after, 10, 64); err != nil {
			return err
		}
	}
	status, err := s.issuer.Feed().Status(r.Context())
	if err != nil {
		return err
	}
	steady, now := s.time.Steady(), s.now()
	answer := api.Verifiers{Verifiers: []api.Verifier{}, Head: status.Head}
	for _, f := range status.Followers {
		if f.Number <= after || steady.Sub(f.Asked) > shownFor {
			continue
		}
		if len(answer.Verifiers) == page.limit {
			answer.Next = s.next(r.URL.Path, page, strconv.FormatUint(after, 10))
			break
		}
		after = f.Number
		called := follower(f.ID, f.Program.Client)
		v := api.Verifier{
			ID: called.ID, Client: called.Client, Key: f.Key, Address: f.Program.Address, Agent: f.Program.Agent,
			Cursor: f.Acked, BoundMS: f.Bound.Milliseconds(), LastSeen: now.Add(f.Asked.Sub(steady)).UTC(),
			Following: f.Until.After(steady), ServeStale: f.ServeStale,
		}
		if !f.Fresh.IsZero() {
			v.StalenessMS = steady.Sub(f.Fresh).Milliseconds()
		}
		answer.Verifiers = append(answer.Verifiers, v)
	}
	return writeJSON(w, http.StatusOK, answer)
}

// follower names a verifier without the whole id by which the feed knows it: a verifier is who says that id.
func follower(id, client string) api.Follower {
	return api.Follower{ID: id[:min(8, len(id))], Client: client}
}

package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/login/password"
)

// importUser is a user as another program had it.
type importUser struct {
	Identifier   string    `json:"identifier"`
	Name         string    `json:"name"`
	Status       string    `json:"status"`
	Roles        []string  `json:"roles"`
	Created      time.Time `json:"created"`
	PasswordHash string    `json:"password_hash"`
}

// importResult says what became of one of them.
type importResult struct {
	Status  string `json:"status"` // added, present (somebody has the identifier: nothing was changed), refused
	ID      string `json:"id,omitempty"`
	Problem string `json:"problem,omitempty"`
}

// maxImport is how many users one request may bring; importers is how many of them
// are written at a time, so that they share commits.
const (
	maxImport = 200
	importers = 16
)

// adminImportUsers adds users with the password hashes that they had elsewhere. It
// never touches a user who is there: with it nobody can choose the password of an
// account that exists (LOGIN-16). Each is added whole or not at all, and doing the same
// again adds what is missing.
func (s *Server) adminImportUsers(w http.ResponseWriter, r *http.Request, who caller) error {
	var b struct {
		Users  []json.RawMessage `json:"users"`
		DryRun bool              `json:"dry_run"`
	}
	if err := readJSON(w, r, &b); err != nil {
		return err
	}
	if len(b.Users) == 0 || len(b.Users) > maxImport {
		return badRequest("users must be 1 to %d", maxImport)
	}
	users := make([]importUser, len(b.Users))
	for n, data := range b.Users {
		if err := bind(data, &users[n]); err != nil {
			return err
		}
	}
	by := act(w, r, who.by, "")
	results := make([]importResult, len(users))
	var outage error
	var mu sync.Mutex // guards outage
	var wg sync.WaitGroup
	next := make(chan int)
	for range min(importers, len(users)) {
		wg.Go(func() {
			for n := range next {
				var err error
				if results[n], err = s.importOne(r.Context(), by, users[n], b.DryRun); err != nil {
					mu.Lock()
					outage = err
					mu.Unlock()
				}
			}
		})
	}
	for n := range users {
		next <- n
	}
	close(next)
	wg.Wait()
	if outage != nil {
		return outage
	}
	return writeJSON(w, http.StatusOK, map[string]any{"results": results})
}

// importOne returns an error for an outage alone.
func (s *Server) importOne(ctx context.Context, by audit.Act, u importUser, dry bool) (importResult, error) {
	made, err := s.users.Import(ctx, by, directory.User{
		Identifier: u.Identifier, Name: u.Name, Status: u.Status, Roles: u.Roles, Created: u.Created,
	}, u.PasswordHash, dry)
	switch {
	case err == nil:
		return importResult{Status: "added", ID: made.ID}, nil
	case errors.Is(err, directory.ErrTaken):
		return importResult{Status: "present"}, nil
	case errors.Is(err, password.ErrHash), errors.Is(err, directory.ErrBadIdentifier), errors.Is(err, directory.ErrBadUser):
		return importResult{Status: "refused", Problem: err.Error()}, nil
	}
	return importResult{}, err
}

package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/login/password"
	"github.com/counterfoil/counterfoil/rights"
)

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
	var b api.Import
	if err := readJSON(r, &b); err != nil {
		return err
	}
	if len(b.Users) == 0 || len(b.Users) > maxImport {
		return badMember("users", "users must be 1 to %d", maxImport)
	}
	users := make([]api.ImportUser, len(b.Users))
	for n, data := range b.Users {
		if err := bind(data, &users[n]); err != nil {
			return inside(fmt.Sprintf("users[%d]", n), err)
		}
	}
	by := act(w, r, who.by, "")
	results := make([]api.ImportResult, len(users))
	var outage error
	var mu sync.Mutex // guards outage
	var wg sync.WaitGroup
	next := make(chan int)
	for range min(importers, len(users)) {
		wg.Go(func() {
			for n := range next {
				var err error
				if results[n], err = s.importOne(r.Context(), who.actor, by, users[n], b.DryRun); err != nil {
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
	return writeJSON(w, http.StatusOK, api.Imported{Results: results})
}

// importOne returns an error for an outage alone.
func (s *Server) importOne(ctx context.Context, who rights.Actor, by audit.Act, u api.ImportUser, dry bool) (api.ImportResult, error) {
	made, err := s.users.Import(ctx, who, by, directory.User{
		ID: u.ID, Identifier: u.Identifier, Name: u.Name, Status: u.Status, Roles: u.Roles, Created: u.Created,
		Address: u.Address, Verified: s.verified(u.AddressVerified),
	}, u.PasswordHash, dry)
	switch {
	case err == nil:
		return api.ImportResult{Status: api.ImportAdded, ID: made.ID}, nil
	case errors.Is(err, directory.ErrTaken) && !errors.Is(err, directory.ErrConfusable):
		return api.ImportResult{Status: api.ImportPresent}, nil
	case errors.Is(err, directory.ErrConfusable), errors.Is(err, password.ErrHash), errors.Is(err, directory.ErrBadIdentifier), errors.Is(err, directory.ErrBadUser):
		return api.ImportResult{Status: api.ImportRefused, Problem: err.Error()}, nil
	}
	return api.ImportResult{}, err
}

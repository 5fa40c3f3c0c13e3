package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var usersOfEach = flag.Int("users", 200, "users with each foreign hash that TestImportEachHash imports")

// known is a hash of another program and its password.
type known struct{ Name, Hash, Password string }

// foreignHashes are the hashes that the tests of package password verify.
func foreignHashes(t *testing.T) (all []known) {
	t.Helper()
	const dir = "../../login/password/testdata"
	made := map[string]string{}
	for name, into := range map[string]any{"foreign.json": &made, "published.json": &all} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(data, into); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(made)) {
		all = append(all, known{name, made[name], "pässword of olden days"})
	}
	return all
}

// Users with each foreign hash are imported while no server runs, and while one does, with two
// processors. One store takes four kinds of hashes, so each has the users of four programs.
func TestImportEachHash(t *testing.T) {
	var offline, running time.Duration
	all := foreignHashes(t)
	for group := range slices.Chunk(all, 4) {
		s := newShell(t)
		t.Setenv("GOMAXPROCS", "2")
		offline += s.importEach(group, "offline")
		address, stop := s.serve()
		running += s.importEach(group, "running")
		last := group[len(group)-1]
		body, err := json.Marshal(map[string]string{"identifier": "running-0-" + fmt.Sprint(len(group)-1), "password": last.Password, "carrier": "bearer"})
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.Post("http://"+address+"/v1/login", "application/json", strings.NewReader(string(body)))
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Errorf("a login with a hash of %s = %s", last.Name, res.Status)
		}
		stop()
	}
	t.Logf("%d users with each of %d hashes: %.1f s without a server, %.1f s with one", *usersOfEach, len(all), offline.Seconds(), running.Seconds())
}

// importEach imports users with each hash of a group, and returns how long that took.
func (s *shell) importEach(group []known, name string) time.Duration {
	s.Helper()
	var lines strings.Builder
	for n := range *usersOfEach {
		for i, h := range group {
			line, err := json.Marshal(map[string]string{"identifier": fmt.Sprintf("%s-%d-%d", name, n, i), "password_hash": h.Hash})
			if err != nil {
				s.Fatal(err)
			}
			lines.Write(append(line, '\n'))
		}
	}
	begun := time.Now()
	out, _ := s.run(lines.String(), 0, "user", "import", "-", "--json")
	took := time.Since(begun)
	var counts imported
	if err := json.Unmarshal([]byte(out), &counts); err != nil || counts.Added != *usersOfEach*len(group) {
		s.Errorf("user import = %s, %v, want %d added", out, err, *usersOfEach*len(group))
	}
	return took
}

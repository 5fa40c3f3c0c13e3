package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/term"
)

// linkName is the file in the data folder with the link of the first administrator.
const linkName = "first-administrator"

// inviting bounds the search for an administrator. The server serves meanwhile.
const inviting = 10 * time.Second

// inviteAdministrator leaves the owner of the machine the link with which the first administrator
// makes the account, if there never was one: in a file that nobody else can read. It says where. The link
// goes into no log and to no terminal, because what a terminal shows is kept, too: by a container that
// was started with one, or a program that records it (LOGIN-15).
func (s *service) inviteAdministrator(ctx context.Context) {
	path := filepath.Join(s.Data, linkName)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), inviting) // a stop that comes first finds what the start promised
	defer cancel()
	link, expires, err := s.FirstAdministrator(ctx)
	if err != nil {
		s.log.Warn("no link for a first administrator", "error", err.Error())
		return
	}
	// The link of an earlier start is void, whether there is an administrator or another link.
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.log.Warn("a void link could not be removed", "path", path, "error", err.Error())
	}
	if link.Reveal() == "" { // there is an administrator, or was one
		return
	}
	if err := writeLink(path, link.Reveal()); err != nil {
		s.log.Warn("no link for a first administrator", "error", err.Error(), "hint", "counterfoil user add NAME --role admin --invite --data "+s.Data)
		return
	}
	if term.IsTerminal(int(os.Stderr.Fd())) {
		fmt.Fprintf(os.Stderr, "\nThere is no administrator yet. Open the link in this file to become the administrator, once, until %s:\n\n  %s\n\n", expires.Local().Format(time.DateTime), path)
		return
	}
	s.log.Warn("there is no administrator", "link_in", path, "until", expires.UTC().Format(time.RFC3339), "hint", "open the link in that file to become the administrator; it is good once")
}

// writeLink writes a new file that only its owner can read.
func writeLink(path, link string) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteString(link + "\n")
	return errors.Join(err, file.Close())
}

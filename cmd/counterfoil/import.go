package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/internal/token"
	"github.com/counterfoil/counterfoil/login/password"
)

type userImport struct {
	placeFlags
	File     string `arg:"" help:"File with one JSON object in each line; - is standard input."`
	DryRun   bool   `help:"Print what would happen, and add no user."`
	Firebase string `type:"path" placeholder:"FILE" help:"Password hash parameters of the Firebase project, as its console shows them, for lines with firebase."`
}

// importLine is a line of the file; docs/import.md describes it. At most one of
// PasswordHash, Keycloak and Firebase is there.
type importLine struct {
	api.ImportUser
	Keycloak *struct {
		CredentialData string `json:"credentialData"`
		SecretData     string `json:"secretData"`
	} `json:"keycloak,omitempty"`
	Firebase *struct {
		PasswordHash string `json:"passwordHash"`
		Salt         string `json:"salt"`
	} `json:"firebase,omitempty"`
}

// imported counts the results of the lines.
type imported struct {
	DryRun   bool         `json:"dry_run,omitempty"`
	Added    int          `json:"added"`
	Present  int          `json:"present"` // another user has the identifier: nothing was changed
	Refused  int          `json:"refused"`
	Problems []lineReport `json:"problems"`
}

// total is how many users were looked at.
func (i imported) total() string {
	return counted(i.Added+i.Present+i.Refused, "user")
}

// sized is the file, and how much of it was read.
type sized struct {
	io.Reader
	size, read int64 // size 0: it is not known
}

func (c *sized) Read(into []byte) (int, error) {
	n, err := c.Reader.Read(into)
	c.read += int64(n)
	return n, err
}

// part is how much of the file was read; below 0, nobody knows.
func (c *sized) part() float64 {
	if c.size == 0 {
		return -1
	}
	return float64(c.read) / float64(c.size)
}

type lineReport struct {
	Line       int    `json:"line"`
	Identifier string `json:"identifier,omitempty"`
	Problem    string `json:"problem"`
}

// importing is the state of one run.
type importing struct {
	*userImport
	in      *sized
	admin   *admin
	project password.FirebaseProject
	seen    map[string]int // number of the line of each canonical identifier
	looks   map[string]int // and of each skeleton of one
	batch   []api.ImportUser
	lines   []int // numbers of the lines of batch
	size    int   // of batch, in bytes
	counts  imported
}

// Limits of one request. The server reads 64 KiB of a body.
const (
	maxImportLine  = 16 << 10
	maxImportBatch = 40 << 10
	maxImportUsers = 200
)

// Run adds the users of a file with the password hashes that they had elsewhere.
func (c *userImport) Run(ctx context.Context) error {
	in := &sized{Reader: os.Stdin}
	if c.File != "-" {
		file, err := os.Open(c.File)
		if err != nil {
			return err
		}
		defer file.Close()
		in.Reader = file
		if about, err := file.Stat(); err == nil && about.Mode().IsRegular() {
			in.size = about.Size()
		}
	}
	run := importing{userImport: c, in: in, seen: map[string]int{}, looks: map[string]int{}, counts: imported{DryRun: c.DryRun, Problems: []lineReport{}}}
	if c.Firebase != "" {
		if err := readFirebase(c.Firebase, &run.project); err != nil {
			return err
		}
	}
	absent := onDisk
	if c.DryRun {
		absent = inMemory
	}
	err := c.open(ctx, absent, func(a *admin) error {
		run.admin = a
		return run.all(ctx)
	})
	if err != nil && (run.admin == nil || c.DryRun) {
		return err
	}
	const goOn = "\nhint: the users that were added stay; run the same command again to go on"
	if ctx.Err() != nil {
		fmt.Fprintf(os.Stderr, "counterfoil: interrupted after %s%s\n", run.counts.total(), goOn)
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("%w"+goOn, err)
	}
	if c.JSON {
		err = writeJSON(os.Stdout, run.counts)
	} else {
		err = table([]column{{name: "ADDED"}, {name: "PRESENT"}, {name: "REFUSED"}}, [][]string{{fmt.Sprint(run.counts.Added), fmt.Sprint(run.counts.Present), fmt.Sprint(run.counts.Refused)}})
	}
	if err == nil && run.counts.Refused > 0 {
		err = fmt.Errorf("%d lines were refused", run.counts.Refused)
	}
	return err
}

// readFirebase reads the parameters of the project.
func readFirebase(path string, into *password.FirebaseProject) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if *into, err = password.ReadFirebaseProject(string(data)); err != nil {
		return fmt.Errorf("%s: %w\nhint: copy the whole block from the console: Authentication, Users, ⋮, Password hash parameters", path, err)
	}
	return nil
}

func (i *importing) all(ctx context.Context) error {
	lines := bufio.NewScanner(i.in)
	lines.Buffer(nil, maxImportLine)
	n := 0
	for lines.Scan() {
		n++
		text := strings.TrimSpace(lines.Text())
		if text == "" {
			continue
		}
		u, err := i.line(text, n)
		if err != nil {
			i.refuse(n, u.Identifier, err.Error())
			continue
		}
		i.batch, i.lines, i.size = append(i.batch, u.ImportUser), append(i.lines, n), i.size+len(text)+512
		if i.size > maxImportBatch || len(i.batch) == maxImportUsers {
			if err := i.send(ctx); err != nil {
				return err
			}
		}
	}
	if err := i.send(ctx); err != nil {
		return err
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return fmt.Errorf("line %d is longer than %d bytes; it and the lines after it were not read", n+1, maxImportLine)
	}
	return lines.Err()
}

// line reads a line and turns the password hash of another program into one string.
func (i *importing) line(text string, n int) (u importLine, err error) {
	if err := token.CheckJSON([]byte(text)); err != nil {
		return u, errors.New("is not one JSON object without duplicate members")
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&u); err != nil {
		return u, errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
	canonical, err := directory.Canonical(u.Identifier)
	if err != nil {
		return u, err
	}
	if first, twice := i.seen[canonical]; twice {
		return u, fmt.Errorf("has the identifier of line %d", first)
	}
	skeleton := directory.Skeleton(canonical)
	if first, twice := i.looks[skeleton]; twice {
		return u, fmt.Errorf("has an identifier that looks like the one of line %d", first)
	}
	ways := 0
	for _, there := range []bool{u.PasswordHash != "", u.Keycloak != nil, u.Firebase != nil} {
		if there {
			ways++
		}
	}
	switch {
	case ways > 1:
		return u, errors.New("has more than one of password_hash, keycloak and firebase")
	case u.Keycloak != nil:
		u.PasswordHash, err = password.Keycloak(u.Keycloak.CredentialData, u.Keycloak.SecretData)
	case u.Firebase != nil && i.Firebase == "":
		err = errors.New("has firebase: name the project's parameters with --firebase")
	case u.Firebase != nil:
		u.PasswordHash, err = i.project.Firebase(u.Firebase.PasswordHash, u.Firebase.Salt)
	}
	if err == nil {
		i.seen[canonical], i.looks[skeleton] = n, n
	}
	return u, err
}

// refuse counts a line and prints why it is refused. It prints nothing else of the line, which
// may have a secret in the wrong member.
func (i *importing) refuse(n int, identifier, problem string) {
	i.counts.Refused++
	i.counts.Problems = append(i.counts.Problems, lineReport{n, identifier, problem})
	fmt.Fprintf(os.Stderr, "counterfoil: %s:%d: %s\n", i.File, n, printable(problem))
}

// send adds the users of the batch.
func (i *importing) send(ctx context.Context) error {
	if len(i.batch) == 0 {
		return nil
	}
	i.admin.progress.at(i.in.part(), i.counts.total())
	results, err := i.admin.ImportUsers(ctx, i.batch, i.DryRun)
	if err != nil {
		return err
	}
	for n, r := range results {
		switch r.Status {
		case api.ImportAdded:
			i.counts.Added++
		case api.ImportPresent:
			i.counts.Present++
		default:
			i.refuse(i.lines[n], i.batch[n].Identifier, r.Problem)
		}
	}
	i.batch, i.lines, i.size = nil, nil, 0
	return nil
}

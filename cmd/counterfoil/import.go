package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/internal/textfile"
	"github.com/counterfoil/counterfoil/internal/token"
	"github.com/counterfoil/counterfoil/login/password"
)

type userImport struct {
	placeFlags
	File     string `arg:"" help:"File with one JSON object in each line, or an export; - is standard input."`
	From     string `enum:"lines,keycloak,firebase" default:"lines" help:"What the file is: lines, or an export of keycloak or firebase."`
	KeepIDs  bool   `name:"keep-ids" help:"Users keep the ids that they have in the file, as subjects of tokens too."`
	DryRun   bool   `help:"Print what would happen, and add no user."`
	Firebase string `type:"path" placeholder:"FILE" help:"Password hash parameters of the Firebase project, as its console shows them, for lines with firebase."`

	keycloakFlags
}

// importLine is a line of the file; docs/import.md describes it. At most one of
// PasswordHash, Keycloak and Firebase is there.
type importLine struct {
	api.ImportUser
	Keycloak *password.KeycloakCredential `json:"keycloak,omitempty"`
	Firebase *firebaseHash                `json:"firebase,omitempty"`
}

type firebaseHash struct {
	PasswordHash string `json:"passwordHash"`
	Salt         string `json:"salt"`
}

// imported counts the results of the lines.
type imported struct {
	DryRun   bool         `json:"dry_run,omitempty"`
	Added    int          `json:"added"`
	Present  int          `json:"present"` // another user has the identifier: nothing was changed
	Refused  int          `json:"refused"`
	LeftOut  int          `json:"left_out"` // of an export: not a person, or nobody who could sign in
	Problems []lineReport `json:"problems"`

	// Lost counts users by what they had and do not have here.
	Lost map[string]int `json:"lost,omitempty"`
}

// total is how many users were looked at.
func (i imported) total() string {
	return counted(i.Added+i.Present+i.Refused+i.LeftOut, "user")
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
	seen    map[string]int  // number of the line of each canonical identifier
	ids     map[string]int  // and of each id that is kept
	looks   map[string]int  // and of each skeleton of one
	kinds   map[string]bool // of hashes
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
	in.Reader = textfile.Reader(in.Reader)
	run := importing{userImport: c, in: in, seen: map[string]int{}, ids: map[string]int{}, looks: map[string]int{}, kinds: map[string]bool{}, counts: imported{DryRun: c.DryRun, Problems: []lineReport{}, Lost: map[string]int{}}}
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
	if err := run.counts.print(c); err != nil {
		return err
	}
	if run.counts.Refused > 0 {
		return fmt.Errorf("%s refused", counted(run.counts.Refused, c.unit())+map[bool]string{true: " was", false: " were"}[run.counts.Refused == 1])
	}
	return nil
}

// unit is what the file consists of.
func (c *userImport) unit() string {
	if c.From == "lines" {
		return "line"
	}
	return "user"
}

func (i imported) print(c *userImport) error {
	for _, what := range slices.Sorted(maps.Keys(i.Lost)) {
		fmt.Fprintf(os.Stderr, "counterfoil: %s: %s\n", counted(i.Lost[what], "user"), what)
	}
	if c.JSON {
		return writeJSON(os.Stdout, i)
	}
	columns := []column{{name: "ADDED"}, {name: "PRESENT"}, {name: "REFUSED"}}
	row := []string{fmt.Sprint(i.Added), fmt.Sprint(i.Present), fmt.Sprint(i.Refused)}
	if c.From != "lines" {
		columns, row = append(columns, column{name: "LEFT OUT"}), append(row, fmt.Sprint(i.LeftOut))
	}
	return table(columns, [][]string{row})
}

// readFirebase reads the parameters of the project.
func readFirebase(path string, into *password.FirebaseProject) error {
	data, err := textfile.Read(path)
	if err != nil {
		return err
	}
	if *into, err = password.ReadFirebaseProject(string(data)); err != nil {
		return fmt.Errorf("%s: %w\nhint: copy the whole block from the console: Authentication, Users, ⋮, Password hash parameters", path, err)
	}
	return nil
}

func (i *importing) all(ctx context.Context) error {
	take := func(u importLine, n, size int) error {
		if err := i.ready(&u, n); err != nil {
			i.refuse(n, u.Identifier, err.Error())
			return nil
		}
		i.batch, i.lines, i.size = append(i.batch, u.ImportUser), append(i.lines, n), i.size+size+512
		if i.size > maxImportBatch || len(i.batch) == maxImportUsers {
			return i.send(ctx)
		}
		return nil
	}
	var err error
	switch i.From {
	case "keycloak":
		err = i.eachExported(i.keycloak, take)
	case "firebase":
		err = i.eachExported(i.exportedByFirebase, take)
	default:
		err = i.eachLine(take)
	}
	if unsent := i.send(ctx); unsent != nil {
		return unsent
	}
	return err
}

// eachLine calls take with each line, its number and its size.
func (i *importing) eachLine(take func(u importLine, n, size int) error) error {
	lines := bufio.NewScanner(i.in)
	lines.Buffer(nil, maxImportLine)
	n := 0
	for lines.Scan() {
		n++
		text := strings.TrimSpace(lines.Text())
		if text == "" {
			continue
		}
		u, err := readLine(text)
		if err != nil && n == 1 && strings.Trim(text, "{[") == "" {
			return notLines(i.File)
		}
		if err != nil {
			i.refuse(n, u.Identifier, err.Error())
			continue
		}
		if err := take(u, n, len(text)); err != nil {
			return err
		}
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) && n == 0 {
		return notLines(i.File)
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return fmt.Errorf("line %d is longer than %d bytes; it and the lines after it were not read", n+1, maxImportLine)
	}
	return lines.Err()
}

func notLines(file string) error {
	return misuse("%s does not have one user in each line\nhint: say what it is: --from keycloak, or --from firebase", file)
}

func readLine(text string) (u importLine, err error) {
	if err := token.CheckJSON([]byte(text)); err != nil {
		return u, errors.New("is not one JSON object without duplicate members")
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&u); err != nil {
		return u, errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
	return u, nil
}

// ready turns the password hash of another program into one string, and compares the user with
// those before it.
func (i *importing) ready(u *importLine, n int) error {
	if !i.KeepIDs {
		if u.ID != "" && i.From == "lines" {
			i.counts.Lost["id, which --keep-ids keeps"]++
		}
		u.ID = ""
	}
	canonical, err := directory.Canonical(u.Identifier)
	if err != nil {
		return err
	}
	if first, twice := i.seen[canonical]; twice {
		return fmt.Errorf("has the identifier of %s %d", i.unit(), first)
	}
	skeleton := directory.Skeleton(canonical)
	if first, twice := i.looks[skeleton]; twice {
		return fmt.Errorf("has an identifier that looks like the one of %s %d", i.unit(), first)
	}
	if first, twice := i.ids[u.ID]; twice && u.ID != "" {
		return fmt.Errorf("has the id of %s %d", i.unit(), first)
	}
	ways := 0
	for _, there := range []bool{u.PasswordHash != "", u.Keycloak != nil, u.Firebase != nil} {
		if there {
			ways++
		}
	}
	switch {
	case ways > 1:
		return errors.New("has more than one of password_hash, keycloak and firebase")
	case u.Keycloak != nil:
		u.PasswordHash, err = u.Keycloak.Hash()
	case u.Firebase != nil && i.Firebase == "":
		err = errors.New("has firebase: name the project's parameters with --firebase")
	case u.Firebase != nil:
		u.PasswordHash, err = i.project.Firebase(u.Firebase.PasswordHash, u.Firebase.Salt)
	}
	if err == nil {
		err = i.affords(u.PasswordHash)
	}
	if err == nil {
		i.seen[canonical], i.looks[skeleton], i.ids[u.ID] = n, n, n
	}
	return err
}

// affords refuses a hash of one kind too many, also where no store is to be asked: in a dry run
// nothing is kept of the lines before.
func (i *importing) affords(hash string) error {
	if hash == "" {
		return nil
	}
	kind, err := password.Kind(hash)
	if err != nil || kind == "" || i.kinds[kind] {
		return err
	}
	if len(i.kinds) == directory.MaxKinds {
		return directory.ErrKinds
	}
	i.kinds[kind] = true
	return nil
}

// refuse counts a line and prints why it is refused. It prints nothing else of the line, which
// may have a secret in the wrong member.
func (i *importing) refuse(n int, identifier, problem string) {
	i.counts.Refused++
	i.counts.Problems = append(i.counts.Problems, lineReport{n, identifier, problem})
	where := fmt.Sprintf("%s:%d", i.File, n)
	if i.From != "lines" {
		where = fmt.Sprintf("%s: user %d (%s)", i.File, n, orDash(identifier))
	}
	fmt.Fprintf(os.Stderr, "counterfoil: %s: %s\n", printable(where), printable(problem))
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

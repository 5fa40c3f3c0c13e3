package compare

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// Options of [Run]. Child and Stores are required.
type Options struct {
	Version string   // of the program, for the result
	Child   []string // command that runs [Child]
	Stores  []Store  // the first one is that of the auth server; each is one of the plain contenders

	Only    []string      // ids of groups or rows; nil: all
	Rounds  int           // zero: 13
	Measure time.Duration // of one contender in one round; zero: 80 ms
	Rate    float64       // requests per second of the rows of latency; zero: 1000
	Users   []int         // of the rows of memory; nil: 1,000 and 10,000
	Delays  []int         // milliseconds to the store, of the rows of the network; nil: 0, 1, 20 and 80
	Callers int           // who send requests by turns; zero: 500
	Seed    uint64        // of the random order and times
	Browser string        // path of Chromium; empty: there is none

	// Progress hears what is measured, how much of all is done (0 to 1), and about how long
	// the rest takes. nil: nobody does.
	Progress func(done float64, left time.Duration, doing string)
}

// Store is a database for a run.
type Store struct {
	Kind  string // such as sqlite, in the ids of contenders
	Auth  string // the place of the auth server's records, which the function given to [Child] opens
	Plain string // the place of the plain contenders, which plain.OpenStore opens
}

// ErrUnknown means that Options.Only names no group and no row.
var ErrUnknown = errors.New("no such row")

// group is rows that are measured together.
type group struct {
	id    string
	rows  []string // ids of its rows; one with an asterisk at the end stands for a series
	about string
	cost  func(*bench) time.Duration // about how long it takes
	run   func(context.Context, *bench) error
}

// groups are all groups, in the order in which they are measured and shown.
func groups() []group {
	return []group{bytesGroup, checksGroup, nodesGroup, latencyGroup, firstGroup, memoryGroup, revokeGroup, refreshGroup, networkGroup, outageGroup, browserGroup}
}

// GroupInfo describes rows that are measured together.
type GroupInfo struct {
	ID, About string
	Rows      []string // ids; one that ends with an asterisk stands for a series
}

// Groups returns what can be measured, in order.
func Groups() (all []GroupInfo) {
	for _, g := range groups() {
		all = append(all, GroupInfo{g.id, g.about, g.rows})
	}
	return all
}

// selects reports whether name, an id of a group or a row, is of the group.
func (g group) selects(name string) bool {
	return name == g.id || slices.ContainsFunc(g.rows, func(row string) bool {
		series, is := strings.CutSuffix(row, "*")
		return name == row || is && strings.HasPrefix(name, series)
	})
}

// bench is a run.
type bench struct {
	Options
	result *Result
	random *rand.Rand
	stage  *stage
	all    []Contender

	planned, spent time.Duration // of the groups that have ended
	current        time.Duration // cost of the group that runs
	begun          time.Time     // of the group that runs
	doing          string
}

// Run measures. If ctx ends, the result is what was measured until then, is marked as partial, and comes with
// the error of ctx. Without a result the error says why nothing could be measured.
func Run(ctx context.Context, o Options) (*Result, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	b := &bench{Options: o, random: rand.New(rand.NewPCG(o.Seed, 0)), result: &Result{
		Schema: Schema, Version: o.Version, Began: time.Now().UTC().Truncate(time.Second), Seed: o.Seed,
		Machine:   Machine{OS: runtime.GOOS, Arch: runtime.GOARCH, CPUs: runtime.NumCPU(), Go: runtime.Version()},
		Settings:  Settings{Rounds: o.Rounds, MeasureMS: float64(o.Measure.Microseconds()) / 1000, Rate: o.Rate, Users: o.Users, Callers: o.Callers, Connections: connections},
		Libraries: libraries(),
	}}
	describeMachine(&b.result.Machine)
	for _, s := range o.Stores {
		b.result.Settings.Stores = append(b.result.Settings.Stores, s.Kind)
	}
	b.all = contenders(b.result.Settings.Stores)
	b.result.Contenders = b.all
	begun := time.Now()
	err := b.run(ctx)
	b.result.Seconds = time.Since(begun).Round(100 * time.Millisecond).Seconds()
	if err != nil && ctx.Err() == nil {
		return nil, err
	}
	if ctx.Err() != nil {
		b.result.Partial = true
		return b.result, ctx.Err()
	}
	return b.result, nil
}

func (o *Options) complete() error {
	if len(o.Child) == 0 || len(o.Stores) == 0 {
		return errors.New("compare: Options.Child and Options.Stores are required")
	}
	if o.Rounds == 0 {
		o.Rounds = 13
	}
	if o.Measure == 0 {
		o.Measure = 80 * time.Millisecond
	}
	if o.Rate == 0 {
		o.Rate = 1000
	}
	if o.Users == nil {
		o.Users = []int{1000, 10_000}
	}
	if o.Callers == 0 {
		o.Callers = 500
	}
	if o.Delays == nil {
		o.Delays = []int{0, 1, 20, 80}
	}
	if o.Progress == nil {
		o.Progress = func(float64, time.Duration, string) {}
	}
	for _, name := range o.Only {
		if !slices.ContainsFunc(groups(), func(g group) bool { return g.selects(name) }) {
			return fmt.Errorf("%w: %q", ErrUnknown, name)
		}
	}
	return nil
}

// run measures each selected group.
func (b *bench) run(ctx context.Context) error {
	defer b.choose()
	var selected []group
	for _, g := range groups() {
		if len(b.Only) == 0 || slices.ContainsFunc(b.Only, g.selects) {
			selected = append(selected, g)
			b.planned += g.cost(b)
			b.result.Unfinished = append(b.result.Unfinished, g.id)
		}
	}
	b.stage = &stage{b: b, credentials: make(map[string][][]Credential)}
	defer b.stage.close()
	b.doing = "starts"
	b.tell(0)
	for _, g := range selected {
		b.current, b.begun, b.doing = g.cost(b), time.Now(), g.about
		if err := g.run(ctx, b); err != nil {
			return fmt.Errorf("%s: %w", g.id, err)
		}
		if ctx.Err() != nil { // with some of its rounds
			break
		}
		b.spent += b.current
		b.current = 0
		b.result.Unfinished = b.result.Unfinished[1:]
	}
	b.tell(1)
	return ctx.Err()
}

// choose keeps the rows that were asked for by their own id, if a row was.
func (b *bench) choose() {
	if len(b.Only) == 0 {
		return
	}
	b.result.Rows = slices.DeleteFunc(b.result.Rows, func(r Row) bool {
		return !slices.ContainsFunc(b.Only, func(name string) bool {
			return name == r.ID || name == r.Group
		})
	})
}

// tell tells how far the group that runs is, from 0 to 1.
func (b *bench) tell(part float64) {
	done := float64(b.spent) + part*float64(b.current)
	left := time.Duration(float64(b.planned) - done)
	b.Progress(min(done/float64(max(b.planned, 1)), 1), max(left, 0), b.doing)
}

// add adds a row, and ranks its contenders.
func (b *bench) add(r Row) {
	r.rank()
	b.result.Rows = append(b.result.Rows, r)
}

// inRounds calls measure for each contender in each round, in a random order. If ctx ends after the
// first round, it ends too, without an error: what was measured until then makes the rows.
func (b *bench) inRounds(ctx context.Context, rounds int, all []Contender, measure func(c Contender, round int) error) error {
	for round := range rounds {
		order := b.random.Perm(len(all))
		for n, i := range order {
			b.tell((float64(round) + float64(n)/float64(len(all))) / float64(rounds))
			err := measure(all[i], round)
			switch {
			case ctx.Err() != nil && round > 0:
				return nil
			case ctx.Err() != nil:
				return ctx.Err()
			case err != nil:
				return fmt.Errorf("%s: %w", all[i].ID, err)
			}
		}
	}
	return nil
}

// series collects what the rounds found, by contender.
type series map[string][]float64

func (s series) add(contender string, v float64) { s[contender] = append(s[contender], v) }

// cells are the cells of all, in their order.
func (s series) cells(all []Contender) (cells []Cell) {
	for _, c := range all {
		if rounds := s[c.ID]; len(rounds) > 0 {
			cells = append(cells, measured(c.ID, rounds))
		}
	}
	return cells
}

// libraries are the versions of what the contenders are made of, as far as the binary knows them.
func libraries() map[string]string {
	found := make(map[string]string)
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return found
	}
	for _, m := range info.Deps {
		switch m.Path {
		case "github.com/alexedwards/scs/v2", "github.com/golang-jwt/jwt/v5", "github.com/go-jose/go-jose/v4",
			"modernc.org/sqlite", "github.com/jackc/pgx/v5", "github.com/redis/rueidis":
			found[m.Path] = m.Version
		}
	}
	return found
}

package prove

import (
	"context"
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

var clockCells = flag.String("prove.clocks", "", "a text in the names of the cells of the clock matrix to run; all: all; empty: a selection")

// clockSelection is what runs where time is short: each clock, each way, each size.
var clockSelection = []string{
	"memory: node ahead by 24h, restarted",
	"memory: node behind by 45s",
	"memory: verifier steps ahead by 24h",
	"memory: verifier steps back by 10m, restarted",
	"memory: both steps ahead by 45s",
	"memory: both behind by 10m",
	"memory: database steps ahead by 10m",
	"memory: database steps back by 24h, restarted",
	"sqlite: node steps ahead by 24h",
	"sqlite: node behind by 24h",
	"sqlite: both steps back by 10m, restarted",
}

// A wrong clock makes no revoked credential good and signs nobody out (4.9a): test 15.
func TestClocks(t *testing.T) {
	cells, err := Clocks(t.Context(), ClocksOptions{Stores: stores, Child: []string{os.Args[0]}, Only: func(c ClocksCell) bool {
		switch *clockCells {
		case "":
			return slices.Contains(clockSelection, c.String())
		case "all":
			return true
		}
		return strings.Contains(c.String(), *clockCells)
	}, Ended: func(c ClocksCell) { t.Log(c, c.Held(), c.Broken) }})
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	held, err := PrintClocks(&table, cells)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(table.String())
	if !held || *clockCells == "" && len(cells) != len(clockSelection) {
		t.Errorf("%d cells, held: %v", len(cells), held)
	}
}

// The clock matrix holds on stores with a server, which runs outside of the simulated time.
func TestClocksOfServers(t *testing.T) {
	for _, s := range allStores(t)[len(stores):] {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			cells, err := Clocks(t.Context(), ClocksOptions{Stores: []Store{s}, Child: []string{os.Args[0]}, Only: func(c ClocksCell) bool {
				return c.By == 10*time.Minute && !c.Restarted && (c.Clock == "node" && c.Wrong == "ahead" || c.Clock == "database" && c.Wrong == "steps back")
			}})
			if err != nil {
				t.Fatal(err)
			}
			var table strings.Builder
			held, err := PrintClocks(&table, cells)
			if err != nil || !held || len(cells) != 2 {
				t.Errorf("%d cells, %v\n%s", len(cells), err, table.String())
			}
		})
	}
}

// The clock matrix finds every kind of fault that a wrong clock can bring out, and finds none
// in a verifier without one.
func TestClocksMutants(t *testing.T) {
	for mutant, c := range map[string]struct{ cell, want string }{
		"naive":                                   {"memory: both steps ahead by 10m", ""},
		"naive, judges by the wall clock":         {"memory: verifier steps ahead by 10m", "P2"},
		"naive, drops by the wall clock":          {"memory: verifier steps ahead by 24h", "P1"},
		"sweeps by the wall clock":                {"memory: node steps ahead by 24h", "P1"},
		"takes its wall clock for the database's": {"memory: node ahead by 10m", "problem"},
		"keeps entries by the time of the commit": {"sqlite: node ahead by 24h", "P1"},
		"measures the grace by the wall clock":    {"memory: node ahead by 45s", "P2"},
		"deletes cookies while clocks contradict": {"memory: node steps ahead by 24h", "cookie"},
	} {
		t.Run(mutant, func(t *testing.T) {
			t.Parallel()
			cells, err := Clocks(t.Context(), ClocksOptions{
				Stores: stores, Child: []string{os.Args[0]}, mutant: mutant, Only: func(at ClocksCell) bool { return at.String() == c.cell },
			})
			if err != nil || len(cells) != 1 {
				t.Fatal(err, len(cells))
			}
			found := cells[0]
			switch {
			case c.want == "" && !found.Held(), c.want == "problem" && len(found.Problems) == 0, c.want != "" && c.want != "problem" && found.Broken[c.want] == 0:
				t.Errorf("%s: found %v %v, want %q", c.cell, found.Violations, found.Problems, c.want)
			}
		})
	}
}

func init() {
	for _, fault := range []string{"", "judges by the wall clock", "drops by the wall clock"} {
		name := "naive"
		if fault != "" {
			name += ", " + fault
		}
		clockMutants[name] = clockMutant{newVerifier: func(ctx context.Context, s counterfoil.Source, o counterfoil.Options) (verifier, error) {
			return startNaive(ctx, fault, s, o)
		}}
	}
	clockMutants["deletes cookies while clocks contradict"] = clockMutant{
		newVerifier: func(ctx context.Context, s counterfoil.Source, o counterfoil.Options) (verifier, error) {
			v, err := counterfoil.NewVerifier(ctx, s, o)
			return deleting{v}, err
		},
	}
	clockMutants["sweeps by the wall clock"] = clockMutant{store: func(s store.Store, m *machine) store.Store { return &sweeping{Store: s, m: m} }}
	clockMutants["takes its wall clock for the database's"] = clockMutant{store: func(s store.Store, m *machine) store.Store { return wallTime{s, m} }}
	clockMutants["keeps entries by the time of the commit"] = clockMutant{store: func(s store.Store, m *machine) store.Store { return shortEntries{s, m} }}
	clockMutants["measures the grace by the wall clock"] = clockMutant{blind: true, store: func(s store.Store, m *machine) store.Store { return wallGrace{s, m} }}
}

// deleting deletes every cookie that it gives no verdict on.
type deleting struct{ *counterfoil.Verifier }

// Require takes the place of that of the verifier.
func (d deleting) Require(next http.Handler, rules ...counterfoil.Rule) http.Handler {
	sound := d.Verifier.Require(next, rules...)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := &recorded{header: w.Header()}
		sound.ServeHTTP(a, r)
		if a.status == http.StatusServiceUnavailable {
			w.Header().Add("Set-Cookie", source.InsecureCookieName+"=; Path=/; Max-Age=0")
		}
		w.WriteHeader(a.status)
	})
}

// sweeping sweeps by the wall clock alone, every minute.
type sweeping struct {
	store.Store
	m *machine

	mu   sync.Mutex // guards last
	last time.Time
}

// Log sweeps before it reads.
func (s *sweeping) Log(ctx context.Context, after counterfoil.Cursor, limit int) ([]source.Revocation, counterfoil.Cursor, error) {
	s.mu.Lock()
	due := time.Since(s.last) >= time.Minute
	if due {
		s.last = time.Now()
	}
	s.mu.Unlock()
	if due {
		if _, err := s.Store.Sweep(ctx, s.m.now().Add(-time.Minute)); err != nil {
			return nil, counterfoil.Cursor{}, err
		}
	}
	return s.Store.Log(ctx, after, limit)
}

// wallTime has the node believe its own wall clock.
type wallTime struct {
	store.Store
	m *machine
}

// Time is the wall clock of the node.
func (s wallTime) Time(context.Context) (time.Time, error) { return s.m.now(), nil }

// shortEntries keeps a log entry for as long as a copy can live that is made at its commit,
// whatever copies are there.
type shortEntries struct {
	store.Store
	m *machine
}

// Commit dates the entries.
func (s shortEntries) Commit(ctx context.Context, b store.Batch) (counterfoil.Cursor, error) {
	b.Revoke = slices.Clone(b.Revoke)
	for i := range b.Revoke {
		b.Revoke[i].Expires = s.m.now().Add(17 * time.Minute)
	}
	return s.Store.Commit(ctx, b)
}

// wallGrace has the node write and read by its own wall clock when a refresh token was used.
type wallGrace struct {
	store.Store
	m *machine
}

// Get reads the time by the wall clock.
func (s wallGrace) Get(ctx context.Context, keys ...store.Key) ([]store.Record, error) {
	records, err := s.Store.Get(ctx, keys...)
	for i := range records {
		if err == nil {
			err = shiftRotated(&records[i], -time.Duration(s.m.off.Load()))
		}
	}
	return records, err
}

// Commit writes the time by the wall clock.
func (s wallGrace) Commit(ctx context.Context, b store.Batch) (counterfoil.Cursor, error) {
	b.Put = slices.Clone(b.Put)
	for i := range b.Put {
		if err := shiftRotated(&b.Put[i], time.Duration(s.m.off.Load())); err != nil {
			return counterfoil.Cursor{}, err
		}
	}
	return s.Store.Commit(ctx, b)
}

func shiftRotated(r *store.Record, by time.Duration) error {
	if r.Kind != "grant" || len(r.Value) == 0 {
		return nil
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(r.Value, &members); err != nil {
		return err
	}
	var at time.Time
	if err := json.Unmarshal(members["rotated"], &at); err != nil {
		return err
	}
	var err error
	if members["rotated"], err = json.Marshal(at.Add(by)); err == nil {
		r.Value, err = json.Marshal(members)
	}
	return err
}

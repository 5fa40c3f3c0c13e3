package prove

import (
	"context"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/testsvc"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/store/postgres"
	"github.com/counterfoil/counterfoil/store/redis"
	"github.com/counterfoil/counterfoil/store/sqlite"
)

var (
	duration  = flag.Duration("prove.duration", 3*time.Second, "how long the history scenarios run")
	verifiers = flag.Int("prove.verifiers", 4, "how many verifiers follow")
	seed      = flag.Uint64("prove.seed", 1, "seed of the random choices")
	only      = flag.String("prove.only", "", "names of scenarios, separated by commas; empty: all")
)

// asChild is set in the environment of child processes, which run this binary.
const asChild = "COUNTERFOIL_PROVE_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(asChild) != "" {
		if err := Child(context.Background(), os.Stdin, os.Stdout, openPlace); err != nil {
			_, _ = io.WriteString(os.Stderr, err.Error())
			os.Exit(1)
		}
		return
	}
	if err := os.Setenv(asChild, "1"); err != nil { // for every process that this one starts
		panic(err)
	}
	testsvc.Main(m)
}

func openPlace(ctx context.Context, name string) (store.Store, error) {
	kind, path, _ := strings.Cut(name, ":")
	switch kind {
	case "memory":
		return memory.New(), nil
	case "sqlite":
		return sqlite.Open(ctx, path)
	case "postgres":
		return postgres.Open(ctx, postgres.Options{URL: path, Log: quiet})
	case "redis":
		return redis.Open(ctx, redis.Options{URL: path})
	}
	return nil, errors.New("no such store: " + name)
}

// stores are the stores under test that need no server. Another store is another row.
var stores = []Store{
	{Name: "memory", Lossy: true, New: func(context.Context) (*Place, error) {
		return &Place{Name: "memory:", Open: func(ctx context.Context) (store.Store, error) { return openPlace(ctx, "memory:") }}, nil
	}},
	{Name: "sqlite", Backups: true, Alone: true, New: func(context.Context) (*Place, error) {
		dir, err := os.MkdirTemp("", "counterfoil-prove")
		if err != nil {
			return nil, err
		}
		name := "sqlite:" + filepath.Join(dir, "counterfoil.db")
		return &Place{
			Name:   name,
			Open:   func(ctx context.Context) (store.Store, error) { return openPlace(ctx, name) },
			Backup: func(context.Context) (func(context.Context) error, error) { return CopyFolder(dir) },
			Remove: func() error { return os.RemoveAll(dir) },
		}, nil
	}},
}

// allStores returns stores, and the stores that need a server.
func allStores(t *testing.T) []Store {
	place := func(name string) *Place {
		return &Place{Name: name, Open: func(ctx context.Context) (store.Store, error) { return openPlace(ctx, name) }}
	}
	pg := sync.OnceValue(func() *testsvc.Postgres { return testsvc.StartPostgres(t, testsvc.Durable) })
	return append(slices.Clone(stores),
		Store{Name: "postgres", New: func(context.Context) (*Place, error) {
			_, url := pg().Database(t, "")
			return place("postgres:" + url), nil
		}},
		Store{Name: "redis", New: func(context.Context) (*Place, error) {
			s := testsvc.StartRedis(t, "--appendonly", "yes", "--appendfsync", "always")
			return place("redis:redis://" + s.Addr()), nil
		}})
}

// Every store keeps the contract: tests 1 to 14 of REVOCATION 4.11.
func TestContract(t *testing.T) {
	var names []string
	if *only != "" {
		names = strings.Split(*only, ",")
	}
	for _, s := range stores {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			hold(t, s, names)
		})
	}
}

// The scenarios that depend on the store also hold on stores with a server.
func TestContractOfServers(t *testing.T) {
	for _, s := range allStores(t)[len(stores):] {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			hold(t, s, []string{"server killed", "store gone", "commit order", "races", "wait=all"})
		})
	}
}

func hold(t *testing.T, s Store, names []string) {
	t.Helper()
	report, err := Run(t.Context(), Options{
		Only:   names,
		Stores: []Store{s}, Duration: *duration, Verifiers: *verifiers, Clients: 4, Revokers: 2, Seed: *seed,
		Child: []string{os.Args[0]}, patience: 10 * time.Second, atOnce: 8,
	})
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	if err := report.Print(&table); err != nil {
		t.Fatal(err)
	}
	t.Log(table.String())
	if !report.Held() {
		t.Error("the contract is not held")
	}
}

package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/redis/rueidis"

	"github.com/counterfoil/counterfoil/prove"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/store/postgres"
	"github.com/counterfoil/counterfoil/store/redis"
	"github.com/counterfoil/counterfoil/store/sqlite"
)

// proveStore returns the store that --store names. Each of its places is new, and is removed
// afterwards. The files of SQLite are in a new folder of dir. A new engine is a case here and in [openProvePlace].
func proveStore(name, dir string) (prove.Store, error) {
	if passwordIn(name) {
		return prove.Store{}, misuse("--store has a password in it: everybody on this machine can read it")
	}
	kind, _, _ := strings.Cut(name, ":")
	switch {
	case name == "memory":
		return prove.Store{Name: name, Lossy: true, New: func(context.Context) (*prove.Place, error) { return provePlace("memory:"), nil }}, nil
	case name == "sqlite":
		return prove.Store{Name: name, Backups: true, Alone: true, New: func(context.Context) (*prove.Place, error) {
			dir, err := os.MkdirTemp(dir, "counterfoil-prove")
			if err != nil {
				return nil, err
			}
			place := provePlace("sqlite:" + filepath.Join(dir, "counterfoil.db"))
			place.Backup = func(context.Context) (func(context.Context) error, error) { return prove.CopyFolder(dir) }
			place.Remove = func() error { return os.RemoveAll(dir) }
			return place, nil
		}}, nil
	case isPostgres(name):
		return prove.Store{Name: "postgres", New: func(ctx context.Context) (*prove.Place, error) { return newDatabase(ctx, name) }}, nil
	case kind == "redis" || kind == "rediss":
		return prove.Store{Name: "redis", New: func(context.Context) (*prove.Place, error) {
			prefix := "prove-" + rand.Text()
			place := provePlace(name + "#" + prefix)
			place.Remove = func() error { return removePrefix(name, prefix) }
			return place, nil
		}}, nil
	}
	return prove.Store{}, misuse("--store %s: want memory, sqlite, postgres://… or redis://…", name)
}

func provePlace(name string) *prove.Place {
	return &prove.Place{Name: name, Open: func(ctx context.Context) (store.Store, error) { return openProvePlace(ctx, name) }}
}

// openProvePlace opens the store at a place. The child process calls it too.
func openProvePlace(ctx context.Context, name string) (store.Store, error) {
	kind, where, _ := strings.Cut(name, ":")
	switch kind {
	case "memory":
		return memory.New(), nil
	case "sqlite":
		return sqlite.Open(ctx, where)
	case "postgres", "postgresql":
		return postgres.Open(ctx, postgres.Options{URL: name})
	case "redis", "rediss":
		at, prefix, _ := strings.Cut(name, "#")
		return redis.Open(ctx, redis.Options{URL: at, Prefix: prefix})
	}
	return nil, fmt.Errorf("no store at %q", name)
}

// newDatabase makes a database on the server of base. The user of base needs the right to.
func newDatabase(ctx context.Context, base string) (*prove.Place, error) {
	at, err := url.Parse(base)
	if err != nil {
		return nil, misuse("--store: %v", err)
	}
	name := "counterfoil_prove_" + strings.ToLower(rand.Text())
	run := func(ctx context.Context, sql string) error {
		conn, err := pgx.Connect(ctx, base)
		if err != nil {
			return err
		}
		_, err = conn.Exec(ctx, sql)
		return errors.Join(err, conn.Close(ctx))
	}
	if err := run(ctx, "CREATE DATABASE "+name); err != nil {
		return nil, err
	}
	at.Path = "/" + name
	place := provePlace(at.String())
	place.Remove = func() error { return run(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)") }
	return place, nil
}

// removePrefix deletes the keys of a place in Redis.
func removePrefix(at, prefix string) error {
	opt, err := rueidis.ParseURL(at)
	if err != nil {
		return errors.New("--store is no Redis URL") // err has the password
	}
	opt.DisableCache = true
	client, err := rueidis.NewClient(opt)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx := context.Background()
	for cursor := uint64(0); ; {
		page, err := client.Do(ctx, client.B().Scan().Cursor(cursor).Match("{"+prefix+"}:*").Count(1000).Build()).AsScanEntry()
		if err != nil {
			return err
		}
		if len(page.Elements) > 0 {
			if err := client.Do(ctx, client.B().Unlink().Key(page.Elements...).Build()).Error(); err != nil {
				return err
			}
		}
		if cursor = page.Cursor; cursor == 0 {
			return nil
		}
	}
}

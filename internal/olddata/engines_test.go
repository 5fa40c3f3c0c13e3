package olddata

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis/rueidis"

	"github.com/counterfoil/counterfoil/internal/testsvc"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/postgres"
	"github.com/counterfoil/counterfoil/store/redis"
	"github.com/counterfoil/counterfoil/store/sqlite"
)

func TestMain(m *testing.M) { testsvc.Main(m) }

// engine is a place where an installation keeps its data.
type engine struct {
	name string

	// start makes an empty place for a program of an earlier version. It returns the flags of
	// the program, and a function that writes the place into a folder of testdata.
	start func(t *testing.T) (dump func(into string), flags []string)

	// restore fills a place from a folder of testdata, and returns a function that opens its
	// stores. data is a copy of that folder.
	restore func(t *testing.T, data string) (open func() (all, sessions store.Store))

	// newEpoch is true if the engine sees the restored data as another history. Then access
	// tokens are refused until they are refreshed.
	newEpoch bool
}

var engines = []engine{
	{
		name:  "sqlite",
		start: func(*testing.T) (func(string), []string) { return func(string) {}, nil },
		restore: func(t *testing.T, data string) func() (all, sessions store.Store) {
			return func() (all, sessions store.Store) { s := openSQLite(t, data); return s, s }
		},
	},
	{
		name:     "postgres",
		newEpoch: true,
		start: func(t *testing.T) (func(string), []string) {
			_, dsn := testsvc.SharedPostgres(t).Database(t, "")
			return func(into string) { dumpPostgres(t, dsn, into) }, []string{"--store", dsn}
		},
		restore: func(t *testing.T, data string) func() (all, sessions store.Store) {
			server := testsvc.SharedPostgres(t)
			name, dsn := server.Database(t, "")
			server.Exec(t, name, postgresDump(t, data))
			return func() (all, sessions store.Store) {
				s, err := postgres.Open(t.Context(), postgres.Options{URL: dsn})
				if err != nil {
					t.Fatal(err)
				}
				return s, s
			}
		},
	},
	{
		name: "redis", // has the sessions; the users are in SQLite
		start: func(t *testing.T) (func(string), []string) {
			addr := durableRedis(t)
			return func(into string) { dumpRedis(t, addr, into) }, []string{"--sessions", "redis://" + addr}
		},
		restore: func(t *testing.T, data string) func() (all, sessions store.Store) {
			addr := durableRedis(t)
			restoreRedis(t, addr, data)
			return func() (all, sessions store.Store) {
				all = openSQLite(t, data)
				sessions, err := redis.Open(t.Context(), redis.Options{URL: "redis://" + addr})
				if err != nil {
					t.Fatal(err)
				}
				return all, sessions
			}
		},
	},
}

func openSQLite(t *testing.T, data string) store.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(data, "counterfoil.db"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// postgresDump returns the dump without the commands of psql.
func postgresDump(t *testing.T, data string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(data, "postgres.sql"))
	if err != nil {
		t.Fatal(err)
	}
	var sql strings.Builder
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, `\`) {
			sql.WriteString(line)
		}
	}
	return sql.String()
}

// durableRedis starts a server that keeps the log over a restart.
func durableRedis(t *testing.T) (addr string) {
	return testsvc.StartRedis(t, "--appendonly", "yes", "--appendfsync", "always").Addr()
}

func redisClient(t *testing.T, addr string) rueidis.Client {
	t.Helper()
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{addr}, DisableCache: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func restoreRedis(t *testing.T, addr, data string) {
	t.Helper()
	client := redisClient(t, addr)
	text, err := os.ReadFile(filepath.Join(data, "redis.dump"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		var pair [2]string // key and value
		for n, field := range strings.Fields(string(line)) {
			raw, err := base64.StdEncoding.DecodeString(field)
			if err != nil {
				t.Fatal(err)
			}
			pair[n] = string(raw)
		}
		restore := client.B().Restore().Key(pair[0]).Ttl(0).SerializedValue(pair[1]).Build()
		if err := client.Do(t.Context(), restore).Error(); err != nil {
			t.Fatalf("restore %q: %v", pair[0], err)
		}
	}
}

package testsvc

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// StartPgBouncer starts a pooler in front of p, in pool mode "session" or "transaction". It
// returns the connection string of a database through the pooler.
func (p *Postgres) StartPgBouncer(tb testing.TB, mode, database string) (dsn string) {
	tb.Helper()
	program, err := find("pgbouncer", "pgbouncer")
	if err != nil {
		tb.Fatal(err)
	}
	owner, err := pgOwner() // PgBouncer refuses to run as root
	if err != nil {
		tb.Fatal(err)
	}
	proc, err := launch(func() (*process, error) {
		dir, err := folder(owner)
		if err != nil {
			return nil, err
		}
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		server, err := url.Parse("//" + p.Addr())
		if err != nil {
			return nil, err
		}
		dsn = fmt.Sprintf("postgres://cf@%s/%s", address(port), database)
		config := fmt.Sprintf("[databases]\n* = host=%s port=%s user=cf\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = %s\nunix_socket_dir =\nauth_type = any\n"+
			"pool_mode = %s\nmax_client_conn = 200\ndefault_pool_size = 50\n", server.Hostname(), server.Port(), strconv.Itoa(port), mode)
		file := filepath.Join(dir, "pgbouncer.ini")
		if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
			return nil, err
		}
		through := dsn
		return &process{path: program, args: []string{file}, dir: dir, owner: owner, stop: syscall.SIGINT, ready: func() error {
			conn, err := pgx.Connect(context.Background(), through)
			if err != nil {
				return err
			}
			return conn.Close(context.Background())
		}}, nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { proc.end(); proc.remove() })
	return dsn
}

package testsvc

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Profile says whether a server flushes to disk.
type Profile int

// The profiles.
const (
	Fast    Profile = iota // never flushes: for tests of behaviour
	Durable                // the default settings: for tests of crashes, and for benchmarks
)

// Postgres is a running PostgreSQL server. Its superuser "cf" needs no password.
type Postgres struct {
	base *url.URL
	proc *process // nil: the server was started outside, and is not stopped
}

const pgPackages = "postgresql"

// SharedPostgres returns the server that the tests of this process share, in the [Fast]
// profile. The first call starts it.
func SharedPostgres(tb testing.TB) *Postgres {
	tb.Helper()
	p, err := sharedPostgres()
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

var sharedPostgres = sync.OnceValues(func() (*Postgres, error) {
	if dsn := os.Getenv("TESTSVC_PG_DSN"); dsn != "" {
		base, err := url.Parse(dsn)
		return &Postgres{base: base}, err
	}
	p, err := launchPostgres(Fast, nil)
	if err != nil {
		return nil, err
	}
	shared.Lock()
	defer shared.Unlock()
	shared.stop = append(shared.stop, func() { p.proc.kill(); p.proc.remove() })
	return p, nil
})

// StartPostgres starts a server for one test. Settings are "name=value" of postgresql.conf.
func StartPostgres(tb testing.TB, profile Profile, settings ...string) *Postgres {
	tb.Helper()
	p, err := launchPostgres(profile, settings)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { p.proc.end(); p.proc.remove() })
	return p
}

func launchPostgres(profile Profile, settings []string) (*Postgres, error) {
	if profile == Fast {
		settings = append([]string{"fsync=off", "full_page_writes=off"}, settings...)
	}
	return runPostgres(settings, func(data string, owner *syscall.Credential) error {
		return pgTool(owner, "initdb", "-D", data, "-U", "cf", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions")
	})
}

// runPostgres starts a server on a data folder, which fill creates.
func runPostgres(settings []string, fill func(data string, owner *syscall.Credential) error) (*Postgres, error) {
	server, err := find("postgres", pgPackages)
	if err != nil {
		return nil, err
	}
	owner, err := pgOwner()
	if err != nil {
		return nil, err
	}
	p := &Postgres{}
	p.proc, err = launch(func() (*process, error) {
		dir, err := folder(owner)
		if err != nil {
			return nil, err
		}
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		data := filepath.Join(dir, "data")
		if err := fill(data, owner); err != nil {
			return nil, err
		}
		p.base = &url.URL{Scheme: "postgres", User: url.User("cf"), Host: address(port), Path: "/postgres"}
		args := []string{"-D", data, "-k", dir, "-p", strconv.Itoa(port), "-c", "listen_addresses=127.0.0.1", "-c", "shared_buffers=64MB"}
		for _, s := range settings {
			args = append(args, "-c", s)
		}
		return &process{path: server, args: args, dir: dir, owner: owner, stop: syscall.SIGINT, ready: p.answers}, nil
	})
	return p, err
}

// StartStandby starts a standby of p, in the [Durable] profile.
func (p *Postgres) StartStandby(tb testing.TB) *Postgres {
	tb.Helper()
	standby, err := runPostgres(nil, func(data string, owner *syscall.Credential) error {
		return pgTool(owner, "pg_basebackup", "-D", data, "-R", "-c", "fast", "-d", p.base.String())
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { standby.proc.end(); standby.proc.remove() })
	return standby
}

// Promote makes a standby the primary, and returns when it is.
func (p *Postgres) Promote(tb testing.TB) {
	tb.Helper()
	if err := p.exec(context.Background(), "SELECT pg_promote()"); err != nil {
		tb.Fatal(err)
	}
}

// Exec runs statements in a database, as the superuser.
func (p *Postgres) Exec(tb testing.TB, database, sql string) {
	tb.Helper()
	at := *p
	at.base = p.in(database)
	if err := at.exec(context.Background(), sql); err != nil {
		tb.Fatal(err)
	}
}

// URL returns the URL of a database of the server.
func (p *Postgres) URL(database string) string { return p.in(database).String() }

func (p *Postgres) in(database string) *url.URL {
	u := *p.base
	u.Path = "/" + database
	return &u
}

// pgOwner returns the user that runs the server, because PostgreSQL refuses to run as root.
// Nil: the current user.
func pgOwner() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		account, err = user.Lookup("nobody")
	}
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, err
}

// pgTool runs one of the programs that come with the server.
func pgTool(owner *syscall.Credential, program string, args ...string) error {
	path, err := find(program, pgPackages)
	if err != nil {
		return err
	}
	cmd := exec.Command(path, args...)
	cmd.Dir, cmd.Env, cmd.SysProcAttr = "/", []string{"LC_ALL=C", "TZ=UTC"}, &syscall.SysProcAttr{Credential: owner}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", program, err, out)
	}
	return nil
}

func (p *Postgres) answers() error { return p.exec(context.Background(), "SELECT 1") }

func (p *Postgres) exec(ctx context.Context, sql string) error {
	conn, err := pgx.Connect(ctx, p.base.String())
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, sql)
	return err
}

// Addr returns host:port of the server.
func (p *Postgres) Addr() string { return p.base.Host }

// Dir returns the data folder of the server.
func (p *Postgres) Dir() string { return filepath.Join(p.proc.dir, "data") }

// Database creates a database, and returns its name and URL. The database is a copy of
// template, another database without connections. With an empty template the database is
// empty. It is dropped after the test.
func (p *Postgres) Database(tb testing.TB, template string) (name, dsn string) {
	tb.Helper()
	name = "t" + strings.ToLower(rand.Text())
	create := "CREATE DATABASE " + name
	if template != "" {
		create += " TEMPLATE " + template
	}
	if err := p.exec(context.Background(), create); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = p.exec(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)") })
	return name, p.URL(name)
}

// Kill kills the server with SIGKILL. The processes of its sessions end a moment later.
func (p *Postgres) Kill() { p.proc.kill() }

// Stop shuts the server down, as for a restart.
func (p *Postgres) Stop() { p.proc.end() }

// Restart starts the ended server again, on the same data and port.
func (p *Postgres) Restart(tb testing.TB) {
	tb.Helper()
	if err := p.proc.again(); err != nil {
		tb.Fatal(err)
	}
}

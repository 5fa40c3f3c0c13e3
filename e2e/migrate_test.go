package e2e_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/counterfoil/counterfoil/internal/testsvc"
)

// A move from SQLite to PostgreSQL and back. Sessions by every carrier go on with their old
// copies. Revoked sessions stay refused.
func TestMigrate(t *testing.T) {
	t.Parallel()
	_, database := testsvc.StartPostgres(t, testsvc.Fast).Database(t, "")
	address, old := testsvc.FreeAddress(t), t.TempDir()
	back := filepath.Join(t.TempDir(), "back")
	if err := os.Mkdir(back, 0o700); err != nil {
		t.Fatal(err)
	}
	p := startAt(t, address, "--store", "sqlite", "--data", old, grace)
	var live, revoked []*holder
	for _, carrier := range []string{"cookie", "bearer", "jwt-cookie", "jwe"} {
		live = append(live, p.login("live", carrier, "app"))
		one, all := p.login("one", carrier, "app"), p.login("all-"+carrier, carrier, "app")
		p.post("/v1/admin/revocations", map[string]any{"scope": "session", "id": one.Session.ID}, p.admin, nil)
		p.post("/v1/admin/revocations", map[string]any{"scope": "subject", "id": "all-" + carrier}, p.admin, nil)
		revoked = append(revoked, one, all)
	}
	if out, code := fails(t, nil, "migrate", "--data", old, "--to", database); code != 4 || !strings.Contains(out, "hint: stop every server on it first") {
		t.Errorf("migrate while the server runs exits with %d:\n%s", code, out)
	}
	check := func(p *program, revoking *holder) {
		t.Helper()
		p.goOn(live, revoked)
		p.post("/v1/admin/revocations", map[string]any{"scope": "session", "id": revoking.Session.ID}, p.admin, nil)
		p.refused(revoking)
		revoked = append(revoked, revoking)
	}
	more := p.login("more", "bearer", "app")
	last := p.login("last", "bearer", "app")
	p.kill()

	run(t, "migrate", "--data", old, "--to", database)
	if out, code := fails(t, nil, "serve", "--data", old, "--listen", "127.0.0.1:0", "--ops-listen", "off"); code != 4 || !strings.Contains(out, "moved to another: to postgres://") {
		t.Errorf("serve on the old store exits with %d:\n%s", code, out)
	}
	p = startAt(t, address, "--store", database, "--data", old, grace)
	check(p, more)
	p.kill()

	run(t, "migrate", "--data", old, "--from", database, "--to", "sqlite", "--to-data", back)
	if out, code := fails(t, nil, "serve", "--data", old, "--store", database, "--listen", "127.0.0.1:0", "--ops-listen", "off"); code != 4 || !strings.Contains(out, "moved to another: to "+back) {
		t.Errorf("serve on the database exits with %d:\n%s", code, out)
	}
	p = startAt(t, address, "--store", "sqlite", "--data", back, grace)
	check(p, last)
}

// goOn checks that the live sessions are accepted and can be refreshed, and that the revoked
// ones are refused.
func (p *program) goOn(live, revoked []*holder) {
	p.t.Helper()
	for _, h := range live {
		if got := p.call(h); got != http.StatusOK {
			p.t.Errorf("the %s from before is answered %d\n%s", h.carrier, got, p.output)
		}
		if h.Refresh != "" {
			p.refresh(h)
		}
		if got := p.call(h); got != http.StatusOK {
			p.t.Errorf("the %s after a refresh is answered %d", h.carrier, got)
		}
	}
	for _, h := range revoked {
		if got := p.call(h); got != http.StatusUnauthorized {
			p.t.Errorf("a revoked %s is answered %d", h.carrier, got)
		}
		p.neverRefreshed("after the move", h)
	}
}

// A move is killed in the middle. The source is unchanged, and the target cannot be used until
// the move is repeated.
func TestMigrateKilled(t *testing.T) {
	t.Parallel()
	server := testsvc.StartPostgres(t, testsvc.Fast)
	name, database := server.Database(t, "")
	old := t.TempDir()
	p := start(t, "--store", "sqlite", "--data", old)
	h := p.login("live", "bearer", "app")
	p.kill()
	// The target is empty, and a trigger makes the first insert of the move wait.
	run(t, "migrate", "--data", emptied(t), "--to", database)
	server.Exec(t, name, `UPDATE counterfoil.head SET mark = ''`)
	server.Exec(t, name, `DELETE FROM counterfoil.records`)
	server.Exec(t, name, `CREATE FUNCTION counterfoil.stop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(600); RETURN NEW; END'`)
	server.Exec(t, name, `CREATE TRIGGER stop BEFORE INSERT ON counterfoil.records FOR EACH ROW EXECUTE FUNCTION counterfoil.stop()`)
	move := exec.Command(binary, "migrate", "--data", old, "--to", database)
	if err := move.Start(); err != nil {
		t.Fatal(err)
	}
	awaitFilling(t, database)
	if err := move.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = move.Wait()
	server.Exec(t, name, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'`)
	server.Exec(t, name, `DROP TRIGGER stop ON counterfoil.records`)

	if out, code := fails(t, nil, "serve", "--data", old, "--store", database, "--listen", "127.0.0.1:0", "--ops-listen", "off"); code != 4 || !strings.Contains(out, "was not finished") {
		t.Errorf("serve on half a store exits with %d:\n%s", code, out)
	}
	run(t, "user", "list", "--data", old) // the source can still be used
	run(t, "migrate", "--data", old, "--to", database)
	p = start(t, "--store", database, "--data", old)
	p.post("/v1/refresh", map[string]any{"refresh_token": h.Refresh, "client": "app"}, "", h)
}

// emptied returns a folder with a small store.
func emptied(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	run(t, "key", "create", "--client", "none", "--scope", "introspect", "--data", dir)
	return dir
}

// awaitFilling waits until a move waits in its first insert. The mark is there then. Without waiting for the
// insert, one that the server has read and not begun would go on after the kill.
func awaitFilling(t *testing.T, database string) {
	t.Helper()
	db, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(t.Context())
	for begun := time.Now(); time.Since(begun) < hung; {
		var mark string
		var waits bool
		if err := db.QueryRow(t.Context(), `SELECT mark, EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep') FROM counterfoil.head`).Scan(&mark, &waits); err != nil {
			t.Fatal(err)
		}
		if waits && strings.HasPrefix(mark, "filling ") {
			return
		}
	}
	t.Fatal("no move waits")
}

// run runs the program to its end.
func run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(binary, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("counterfoil %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

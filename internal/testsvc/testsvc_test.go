package testsvc

import (
	"context"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

func TestMain(m *testing.M) { Main(m) }

func TestPostgres(t *testing.T) {
	t.Parallel()
	_, template := SharedPostgres(t).Database(t, "")
	ask(t, template, "CREATE TABLE t (); SELECT 'made'")
	name := template[strings.LastIndex(template, "/")+1:]
	_, copied := SharedPostgres(t).Database(t, name)
	if got := ask(t, copied, "SELECT to_regclass('t')::text"); got != "t" {
		t.Errorf("the copy of the template has %q, want t", got)
	}
}

func TestPostgresSurvivesKill(t *testing.T) {
	t.Parallel()
	p := StartPostgres(t, Durable)
	_, dsn := p.Database(t, "")
	if got := ask(t, dsn, "SELECT current_setting('fsync')"); got != "on" {
		t.Errorf("fsync = %s, want on", got)
	}
	ask(t, dsn, "CREATE TABLE t (); SELECT 'made'")
	p.Kill()
	p.Restart(t)
	if got := ask(t, dsn, "SELECT to_regclass('t')::text"); got != "t" {
		t.Errorf("after kill -9 the table is %q, want t", got)
	}
}

// ask runs statements and returns the text of the last answer.
func ask(t *testing.T, dsn, sql string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	results, err := conn.PgConn().Exec(t.Context(), sql).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return string(results[len(results)-1].Rows[0][0])
}

func do(t *testing.T, r *Redis, args ...string) string {
	t.Helper()
	out, err := r.Do(args...)
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return out
}

func TestRedis(t *testing.T) {
	t.Parallel()
	r := StartRedis(t, "--appendonly", "yes", "--appendfsync", "always")
	do(t, r, "SET", "k", "v")
	r.Kill()
	r.Restart(t)
	if got := do(t, r, "GET", "k"); got != "v" {
		t.Errorf("after kill -9 the value is %q, want v", got)
	}
}

func TestSentinelFailsOver(t *testing.T) {
	t.Parallel()
	s := StartSentinel(t)
	do(t, s.Nodes[0], "SET", "k", "v")
	do(t, s.Nodes[0], "WAIT", "1", "5000")
	s.Nodes[0].Kill()
	if err := until("new primary", func() bool {
		role, err := s.Nodes[1].Do("ROLE")
		return err == nil && strings.HasPrefix(role, "master")
	}); err != nil {
		t.Fatal(err)
	}
	if got := do(t, s.Nodes[1], "GET", "k"); got != "v" {
		t.Errorf("the new primary has %q, want v", got)
	}
}

func TestCluster(t *testing.T) {
	t.Parallel()
	c := StartCluster(t, 3, 3)
	if info := do(t, c.Nodes[5], "CLUSTER", "INFO"); !strings.Contains(info, "cluster_slots_ok:16384") || !strings.Contains(info, "cluster_size:3") {
		t.Errorf("CLUSTER INFO = %s", info)
	}
}

func TestMissingServerSaysHowToInstall(t *testing.T) {
	_, err := find("no-such-server", "some-package")
	if err == nil || !strings.Contains(err.Error(), "apt-get install -y --no-install-recommends some-package") {
		t.Errorf("find = %v, want the line that installs it", err)
	}
}

func TestSweepKeepsFoldersOfRunningProcesses(t *testing.T) {
	mine, err := folder(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(mine)
	const gone = 1 << 30 // larger than any process id of Linux
	if err := syscall.Kill(gone, 0); !errors.Is(err, syscall.ESRCH) {
		t.Fatalf("process %d = %v, want none", gone, err)
	}
	dead := strings.Replace(mine, prefix, prefix+"1073741824-", 1)
	if err := os.Mkdir(dead, 0o700); err != nil {
		t.Fatal(err)
	}
	sweep()
	if _, err := os.Stat(mine); err != nil {
		t.Errorf("sweep removed the folder of a running process: %v", err)
	}
	if _, err := os.Stat(dead); !os.IsNotExist(err) {
		t.Errorf("sweep kept the folder of a dead process: %v", err)
	}
}

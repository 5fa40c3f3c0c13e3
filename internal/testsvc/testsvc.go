// Package testsvc starts real servers for tests: PostgreSQL and PgBouncer, and Redis as a
// single server, behind Sentinel, or as a Cluster. Call [Main] from TestMain, and
// [SharedPostgres], [StartPostgres], [StartRedis], [StartSentinel] or [StartCluster] from a
// test. Each server is private: it listens on a free port of loopback, and its data is in a
// temporary folder. It ends with the test that started it. On Linux it also ends when the test
// process is killed.
//
// If a server is not installed, the test fails and says how to install it. No test is
// skipped. TESTSVC_PG_DSN names a PostgreSQL server to use instead of the shared private one,
// for example of another version. TESTSVC_REDIS_SERVER names the program that is started for
// Redis, for example valkey-server. The names do not begin with COUNTERFOIL_, because the
// program inherits them, and refuses variables with that prefix that are not its settings.
package testsvc

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Main runs the tests of a package, stops the shared servers, and exits. Call it from
// TestMain.
func Main(m *testing.M) { os.Exit(Run(m)) }

// Run is [Main] without the exit: it returns the exit code, so that the caller can clean up.
func Run(m *testing.M) int {
	sweep()
	code := m.Run()
	shared.Lock()
	for _, stop := range shared.stop {
		stop()
	}
	return code
}

// shared has the functions that stop the shared servers.
var shared struct {
	sync.Mutex
	stop []func()
}

const prefix = "cfsvc" // of data folders; short, because a Unix socket path has at most 107 bytes

// folder creates a data folder. Its name has the id of this process. It is not t.TempDir():
// only the current user may enter that folder, and PostgreSQL may run as another user.
func folder(owner *syscall.Credential) (string, error) {
	dir, err := os.MkdirTemp("", fmt.Sprintf("%s%d-", prefix, os.Getpid()))
	if err != nil || owner == nil {
		return dir, err
	}
	return dir, os.Chown(dir, int(owner.Uid), int(owner.Gid))
}

// sweep removes the data folders of test processes that no longer run.
func sweep() {
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), prefix+"*-*"))
	for _, dir := range dirs {
		name, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), prefix), "-")
		pid, err := strconv.Atoi(name)
		if err == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			_ = os.RemoveAll(dir)
		}
	}
}

// Program returns the path of a program whose package of Debian has its name.
func Program(tb testing.TB, name string) string {
	tb.Helper()
	path, err := find(name, name)
	if err != nil {
		tb.Fatal(err)
	}
	return path
}

// find returns the path of a program: from PATH, or from the folder of the newest PostgreSQL,
// which Debian does not put on PATH.
func find(program, packages string) (string, error) {
	for _, name := range []string{program, "/usr/sbin/" + program} { // /usr/sbin is on the PATH of root only
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + program)
	if len(found) == 0 {
		return "", fmt.Errorf("%s is not installed: apt-get install -y --no-install-recommends %s (.ci/run does it)", program, packages)
	}
	return slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) }), nil
}

func version(path string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
	return n
}

// freePort returns a port of loopback on which no process listens. It is below the ephemeral
// ports, which the kernel gives to clients. Another process may still take it first, so launch
// tries again with another port.
func freePort() (int, error) {
	for range 100 {
		port := 20000 + rand.IntN(12000)
		if _, again := chosen.LoadOrStore(port, true); again {
			continue // its server may not listen yet
		}
		l, err := net.Listen("tcp", address(port))
		if err == nil {
			return port, l.Close()
		}
	}
	return 0, errors.New("no free port")
}

var chosen sync.Map // ports that freePort has tried

// FreeAddress returns an address of loopback for a server that must have the same address
// after a restart.
func FreeAddress(tb testing.TB) string {
	tb.Helper()
	port, err := freePort()
	if err != nil {
		tb.Fatal(err)
	}
	return address(port)
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

const (
	starts        = 3                // attempts, each on another port
	startWithin   = 60 * time.Second // so long only on a busy machine
	recoverWithin = 20 * time.Minute // for a million sessions, in the largest tests
	pollEvery     = 10 * time.Millisecond
)

// launch starts a server. make chooses a port. If the start fails, launch tries again with
// another port.
func launch(make func() (*process, error)) (*process, error) {
	var err error
	for range starts {
		var p *process
		if p, err = make(); err != nil {
			return nil, err
		}
		if err = p.start(); err == nil {
			return p, nil
		}
		p.remove()
	}
	return nil, err
}

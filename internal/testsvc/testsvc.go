// Package testsvc starts real servers for tests: PostgreSQL and PgBouncer, and Redis alone,
// behind Sentinel, or as a Cluster. Each is a private instance on a free port of
// loopback, with its data in a temporary folder, and ends with the test that
// started it, or at the latest with the test process, even when that is killed.
//
// A server that is not installed fails the test and says how to install it:
// nothing is skipped. TESTSVC_PG_DSN names a PostgreSQL server to use
// instead of the shared private one, for example of another version, and
// TESTSVC_REDIS_SERVER the program that is started for Redis, for example
// valkey-server. Neither begins with COUNTERFOIL_: the program, which inherits them, refuses
// what is no setting of it.
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

// Main runs the tests of a package, stops the servers that they shared, and
// exits: call it from TestMain.
func Main(m *testing.M) { os.Exit(Run(m)) }

// Run is Main for who has more to do before the end: it returns the code to exit with.
func Run(m *testing.M) int {
	sweep()
	code := m.Run()
	shared.Lock()
	for _, stop := range shared.stop {
		stop()
	}
	return code
}

// shared are the servers that outlive the test that asked for them first.
var shared struct {
	sync.Mutex
	stop []func()
}

const prefix = "cfsvc" // of data folders; short, because Unix socket paths end near 107 bytes

// folder makes a data folder that says whose it is. It is not t.TempDir(), whose
// parent only root may enter: PostgreSQL runs as somebody else.
func folder(owner *syscall.Credential) (string, error) {
	dir, err := os.MkdirTemp("", fmt.Sprintf("%s%d-", prefix, os.Getpid()))
	if err != nil || owner == nil {
		return dir, err
	}
	return dir, os.Chown(dir, int(owner.Uid), int(owner.Gid))
}

// sweep removes the folders of test processes that were killed.
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

// find returns the path of a program: from PATH, or from the folder where Debian
// keeps the programs of the newest PostgreSQL, which is on no PATH.
func find(program, packages string) (string, error) {
	for _, name := range []string{program, "/usr/sbin/" + program} { // the latter is on root's PATH alone
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

// freePort returns a port of loopback that nobody listens on. It is below the
// range that the kernel hands out to clients. Somebody may take it before we do, so
// whoever starts a server tries again with another one.
func freePort() (int, error) {
	for range 100 {
		port := 20000 + rand.IntN(12000)
		l, err := net.Listen("tcp", address(port))
		if err == nil {
			return port, l.Close()
		}
	}
	return 0, errors.New("no free port")
}

// FreeAddress is an address of loopback for a server that must have the same one when
// it comes back.
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
	starts        = 3                // ports tried
	startWithin   = 60 * time.Second // a busy machine is slow; nobody waits this long otherwise
	recoverWithin = 20 * time.Minute // of a million sessions, in the largest tests
	pollEvery     = 10 * time.Millisecond
)

// launch starts a server on ports that make of it picks, until one start works.
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

package testsvc

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const redisPackages = "redis-server redis-sentinel redis-tools"

// redisServer returns the program that is started for Redis. It is a function, not a variable:
// go test caches results by the environment variables that tests read, and would not notice
// one that is read before the tests begin.
func redisServer() string { return cmp.Or(os.Getenv("TESTSVC_REDIS_SERVER"), "redis-server") }

// Redis is one running Redis server.
type Redis struct {
	port int
	proc *process
}

// StartRedis starts a server for one test, which takes some ten milliseconds. The server
// keeps nothing on disk, unless args have "--appendonly", "yes", "--appendfsync", "always".
func StartRedis(tb testing.TB, args ...string) *Redis {
	tb.Helper()
	r, err := launchRedis(func(int) []string { return args })
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(r.discard)
	return r
}

// launchRedis starts a server. args returns its arguments for a port.
func launchRedis(args func(port int) []string) (*Redis, error) {
	server, err := find(redisServer(), redisPackages)
	if err != nil {
		return nil, err
	}
	r := &Redis{}
	r.proc, err = launch(func() (*process, error) {
		dir, err := folder(nil)
		if err != nil {
			return nil, err
		}
		if r.port, err = freePort(); err != nil {
			return nil, err
		}
		config := filepath.Join(dir, "redis.conf") // Sentinel and Cluster write to it
		if err := os.WriteFile(config, nil, 0o600); err != nil {
			return nil, err
		}
		all := append([]string{config, "--port", strconv.Itoa(r.port), "--bind", "127.0.0.1", "--dir", dir, "--save", "", "--appendonly", "no",
			"--repl-diskless-sync-delay", "0"}, args(r.port)...) // with the default delay a primary waits 5 s for more replicas
		return &process{path: server, args: all, dir: dir, stop: syscall.SIGTERM, ready: r.answers}, nil
	})
	return r, err
}

func (r *Redis) answers() error {
	_, err := r.Do("PING")
	return err
}

// Addr returns host:port of the server.
func (r *Redis) Addr() string { return address(r.port) }

// Kill kills the server with SIGKILL.
func (r *Redis) Kill() { r.proc.kill() }

// Restart starts the ended server again, on the same data and port.
func (r *Redis) Restart(tb testing.TB) {
	tb.Helper()
	if err := r.proc.again(); err != nil {
		tb.Fatal(err)
	}
}

func (r *Redis) discard() { r.proc.kill(); r.proc.remove() }

// Do sends one command on a new connection and returns the answer. An array is returned as
// its items, one in a line. Do is for setting up servers. The code under test uses a client
// library.
func (r *Redis) Do(args ...string) (string, error) { return RedisDo(r.Addr(), args...) }

// RedisDo is [Redis.Do] for the server at addr.
func RedisDo(addr string, args ...string) (string, error) {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	if _, err := io.WriteString(conn, b.String()); err != nil {
		return "", err
	}
	return answer(bufio.NewReader(conn))
}

// answer reads one RESP2 value.
func answer(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimSuffix(line, "\r\n")
	kind, text := line[0], line[1:]
	if kind == '-' {
		return "", errors.New(text)
	}
	if kind != '$' && kind != '*' {
		return text, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return "", err
	}
	if kind == '$' {
		body := make([]byte, n+2)
		_, err := io.ReadFull(r, body)
		return string(body[:n]), err
	}
	items := make([]string, n)
	for i := range items {
		if items[i], err = answer(r); err != nil {
			return "", err
		}
	}
	return strings.Join(items, "\n"), nil
}

// group starts n servers at the same time. If one fails, it ends the others.
func group(n int, args func(i, port int) []string) ([]*Redis, error) {
	nodes, errs := make([]*Redis, n), make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { nodes[i], errs[i] = launchRedis(func(port int) []string { return args(i, port) }) })
	}
	wg.Wait()
	err := errors.Join(errs...)
	for i, r := range nodes {
		if err != nil && errs[i] == nil {
			r.discard()
		}
	}
	return nodes, err
}

// until repeats condition until it returns true.
func until(what string, condition func() bool) error {
	for deadline := time.Now().Add(startWithin); time.Now().Before(deadline); time.Sleep(pollEvery) {
		if condition() {
			return nil
		}
	}
	return fmt.Errorf("redis: no %s within %v", what, startWithin)
}

package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// node is the real program.
type node struct {
	url, ops, key string
	cmd           *exec.Cmd
}

// opsToken is the password of the profiles.
const opsToken = "only-for-this-measurement-0123456789"

// startNode makes an API key, and starts the program.
func startNode(ctx context.Context, program, data string) (*node, error) {
	address, err := free()
	if err != nil {
		return nil, err
	}
	ops, err := free()
	if err != nil {
		return nil, err
	}
	made, err := exec.CommandContext(ctx, program, "apikey", "create", "--data", data, "--client", "fleet", "--scope", "admin", "--scope", "sessions:create", "--scope", "revocation:read", "--scope", "introspect").Output()
	if err != nil {
		return nil, fmt.Errorf("apikey create: %w", err)
	}
	n := &node{url: "http://" + address, ops: "http://" + ops, key: strings.TrimSpace(string(made))}
	n.cmd = exec.CommandContext(ctx, program, "serve", "--data", data, "--listen", address, "--ops-listen", ops, "--log-level", "error", "--connections-per-address", "0")
	n.cmd.Env = append(os.Environ(), "COUNTERFOIL_OPS_TOKEN="+opsToken)
	n.cmd.Stderr = os.Stderr
	if err := n.cmd.Start(); err != nil {
		return nil, err
	}
	if err := n.ready(ctx); err != nil {
		n.stop()
		return nil, err
	}
	return n, nil
}

func (n *node) ready(ctx context.Context) error {
	for begun := time.Now(); time.Since(begun) < 30*time.Second && ctx.Err() == nil; pause(ctx, 50*time.Millisecond) {
		resp, err := http.Get(n.url + "/readyz")
		if err != nil {
			continue
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return nil
		}
	}
	return fmt.Errorf("the node at %s is not ready", n.url)
}

func (n *node) stop() {
	_ = n.cmd.Process.Signal(syscall.SIGTERM)
	_ = n.cmd.Wait()
}

// free is an address that no program listens on now.
func free() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// used is the processor time of a process in ms, as the scheduler has it: its clock
// (clock_getcpuclockid(3)).
func used(pid int) (float64, error) {
	var t syscall.Timespec
	clock := int32(^pid<<3 | 2)
	if _, _, wrong := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, uintptr(clock), uintptr(unsafe.Pointer(&t)), 0); wrong != 0 {
		return 0, fmt.Errorf("clock of process %d: %w", pid, wrong)
	}
	return float64(t.Nano()) / 1e6, nil
}

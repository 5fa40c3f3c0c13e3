package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// moments are the times at which memory is measured.
var moments = []string{"when it is ready", "at rest", "after the logins", "at rest again"}

// round is what one life of a server took. Times are in milliseconds.
type round struct {
	ready   float64
	logins  []float64
	last    float64   // the login after the second rest
	pairs   []float64 // logins of two at once on a busy machine
	started float64   // a process that hashes, from its start until it has answered a job without work
	memory  []sample  // one for each of moments
}

// sample is the memory at one moment.
type sample struct {
	server  memory
	hashers int
	largest memory // of the processes that hash
}

// memory is in MB.
type memory struct{ pss, rss float64 }

const identifier, password = "rest@example.com", "nineteen quiet violets sleep"

// measure runs one round.
func (s settings) measure(ctx context.Context, binary, data string) (r round, err error) {
	if err := os.Mkdir(data, 0o700); err != nil {
		return r, err
	}
	if r.started, err = startHasher(ctx, binary); err != nil {
		return r, err
	}
	server := exec.CommandContext(ctx, binary, "serve", "--data", data, "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0")
	server.Env = []string{"HOME=" + data}
	log, err := server.StderrPipe()
	if err != nil {
		return r, err
	}
	begun := time.Now()
	if err := server.Start(); err != nil {
		return r, err
	}
	defer func() {
		err = errors.Join(err, server.Process.Signal(syscall.SIGTERM), server.Wait())
	}()
	url, err := listening(log)
	if err != nil {
		return r, err
	}
	if err := ready(ctx, url); err != nil {
		return r, err
	}
	r.ready = milliseconds(begun)
	add := exec.CommandContext(ctx, binary, "user", "add", identifier, "--data", data)
	add.Stdin = strings.NewReader(password + "\n")
	look := func() error {
		m, err := look(server.Process.Pid)
		r.memory = append(r.memory, m)
		return err
	}
	if err := errors.Join(wait(ctx, time.Second), look(), wait(ctx, s.idle), look()); err != nil {
		return r, err
	}
	if out, err := add.CombinedOutput(); err != nil {
		return r, fmt.Errorf("user add: %w\n%s", err, out)
	}
	for range s.logins {
		took, err := login(ctx, url)
		if err != nil {
			return r, err
		}
		r.logins = append(r.logins, took)
	}
	if err := errors.Join(wait(ctx, 2*time.Second), look(), wait(ctx, s.idle), look()); err != nil {
		return r, err
	}
	if r.last, err = login(ctx, url); err != nil {
		return r, err
	}
	r.pairs, err = pairs(ctx, url, s.pairs)
	return r, err
}

// startHasher starts a process that hashes, and waits until it has refused a hash that is none.
func startHasher(ctx context.Context, binary string) (took float64, err error) {
	cmd := exec.CommandContext(ctx, binary, "hash")
	cmd.Env = []string{}
	cmd.Stdin = strings.NewReader(`{"Password":"eA==","Policy":"m=65536,t=2,p=1","Stored":"none"}` + "\n")
	begun := time.Now()
	out, err := cmd.Output()
	if err != nil || !bytes.Contains(out, []byte("malformed")) {
		return 0, fmt.Errorf("counterfoil hash: %w\n%s", err, out)
	}
	return milliseconds(begun), nil
}

// listening returns the URL in the log of a server, and reads on.
func listening(log io.Reader) (string, error) {
	lines := bufio.NewScanner(log)
	var all strings.Builder
	for lines.Scan() {
		var line struct{ Msg, Issuer string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "listening" {
			go func() { _, _ = io.Copy(io.Discard, log) }()
			return line.Issuer, nil
		}
		fmt.Fprintf(&all, "%s\n", lines.Bytes())
	}
	return "", fmt.Errorf("the server ended:\n%s", &all)
}

func ready(ctx context.Context, url string) error {
	for {
		res, err := http.Get(url + "/readyz")
		if err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
		if err := wait(ctx, time.Millisecond); err != nil {
			return err
		}
	}
}

func login(ctx context.Context, url string) (took float64, err error) {
	body, err := json.Marshal(map[string]string{"identifier": identifier, "password": password, "carrier": "bearer"})
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, "POST", url+"/v1/login", bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	begun := time.Now()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("login: %s %s", res.Status, answer)
	}
	return milliseconds(begun), err
}

// look reads the memory of a server and of the processes that it has started.
func look(pid int) (m sample, err error) {
	if m.server, err = read(strconv.Itoa(pid)); err != nil {
		return m, err
	}
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return m, err
	}
	for _, name := range tasks {
		children, err := os.ReadFile(name)
		if err != nil {
			continue // a thread that has ended
		}
		for child := range strings.FieldsSeq(string(children)) {
			of, err := read(child)
			if err != nil {
				continue // a process that has ended
			}
			m.hashers++
			m.largest = memory{max(m.largest.pss, of.pss), max(m.largest.rss, of.rss)}
		}
	}
	return m, nil
}

func read(pid string) (m memory, err error) {
	text, err := os.ReadFile("/proc/" + pid + "/smaps_rollup")
	if err != nil {
		return m, err
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 3 || fields[2] != "kB" {
			continue
		}
		kib, err := strconv.ParseFloat(fields[1], 64)
		if err != nil {
			return m, err
		}
		switch fields[0] {
		case "Pss:":
			m.pss = kib * 1024 / 1e6
		case "Rss:":
			m.rss = kib * 1024 / 1e6
		}
	}
	return m, nil
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

func milliseconds(since time.Time) float64 { return float64(time.Since(since)) / 1e6 }

package ops_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/internal/ops"
	"github.com/counterfoil/counterfoil/internal/testsvc"
)

// listen opens a server on free ports that tells a socket of the test what it tells systemd.
func listen(t *testing.T, change func(*ops.Options)) (*ops.Server, *net.UnixConn, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	systemd, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = systemd.Close() })
	o := ops.Options{
		Settings: &ops.Settings{Listen: "127.0.0.1:0", OpsListen: "127.0.0.1:0"}, Metrics: ops.NewMetrics(nil),
		Logger: slog.New(slog.DiscardHandler), NotifySocket: path,
	}
	change(&o)
	s, err := ops.Listen(o)
	return s, systemd, err
}

func told(t *testing.T, systemd *net.UnixConn) string {
	t.Helper()
	text := make([]byte, 100)
	n, err := systemd.Read(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(text[:n])
}

// hello is a program's handler.
var hello = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })

func get(t *testing.T, client *http.Client, url string) string {
	t.Helper()
	res, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// A program is ready once started has returned, serves, and stops with its context.
func TestRun(t *testing.T) {
	s, systemd, err := listen(t, func(o *ops.Options) { o.Settings.OpsListen = "off" })
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), "local.sock")
	s.Handle(hello, nil)
	if err := s.HandleLocal(socket, hello); err != nil {
		t.Fatal(err)
	}
	var order []string
	s.Go(func(ctx context.Context) error {
		<-ctx.Done()
		order = append(order, "task stopped")
		return nil
	})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- s.Run(ctx, func() error { order = append(order, "started"); return nil })
	}()
	if got := told(t, systemd); got != "READY=1" {
		t.Errorf("systemd is told %q", got)
	}
	if got := get(t, http.DefaultClient, s.URL()); got != "hello" {
		t.Errorf("the public listener serves %q", got)
	}
	local := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	if got := get(t, local, "http://local/"); got != "hello" {
		t.Errorf("the socket serves %q", got)
	}
	stop()
	if got := told(t, systemd); got != "STOPPING=1" {
		t.Errorf("systemd is told %q", got)
	}
	if err := errors.Join(<-done, s.Close()); err != nil {
		t.Error(err)
	}
	if got := strings.Join(order, ", "); got != "started, task stopped" {
		t.Errorf("order: %s", got)
	}
}

// Another listener serves its own handler, for as long as the program runs, and its failure names
// the flag of its address.
func TestHandleAt(t *testing.T) {
	s, _, err := listen(t, func(o *ops.Options) { o.Settings.OpsListen, o.NotifySocket = "off", "" })
	if err != nil {
		t.Fatal(err)
	}
	s.Handle(hello, nil)
	if _, err := s.HandleAt(s.Addr().String(), "--other-listen", nil, hello); err == nil || !strings.Contains(err.Error(), "--other-listen") {
		t.Errorf("an address that is taken: %v", err)
	}
	at, err := s.HandleAt("127.0.0.1:0", "--other-listen", nil, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "other") }))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	err = s.Run(ctx, func() error {
		if got := get(t, http.DefaultClient, "http://"+at.String()); got != "other" {
			t.Errorf("the other listener: %q", got)
		}
		if got := get(t, http.DefaultClient, s.URL()); got != "hello" {
			t.Errorf("the public listener: %q", got)
		}
		stop()
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", at.String()); err == nil {
		t.Error("it listens after the end")
	}
}

// A task or a start that fails ends the program with its error, and everything else stops.
func TestRunFails(t *testing.T) {
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		task    func(context.Context) error
		started error
	}{
		"a task": {func(context.Context) error { return broken }, nil},
		"start":  {func(ctx context.Context) error { <-ctx.Done(); return nil }, broken},
	} {
		s, _, err := listen(t, func(o *ops.Options) { o.Settings.OpsListen = "off" })
		if err != nil {
			t.Fatal(err)
		}
		s.Handle(hello, nil)
		s.Go(c.task)
		if err := s.Run(t.Context(), func() error { return c.started }); !errors.Is(err, broken) {
			t.Errorf("%s fails: Run = %v", name, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// An address that is taken is an error that names the flag, and leaves no listener open.
func TestListenFails(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if _, _, err := listen(t, func(o *ops.Options) { o.Settings.Listen = taken.Addr().String() }); err == nil || !strings.Contains(err.Error(), "--listen") {
		t.Errorf("Listen = %v", err)
	}
	address := testsvc.FreeAddress(t)
	if _, _, err := listen(t, func(o *ops.Options) {
		o.Settings.Listen, o.Settings.OpsListen = address, taken.Addr().String()
	}); err == nil || !strings.Contains(err.Error(), "--ops-listen") {
		t.Errorf("Listen = %v", err)
	}
	if l, err := net.Listen("tcp", address); err != nil {
		t.Errorf("the public listener was left open: %v", err)
	} else {
		_ = l.Close()
	}
	s, _, err := listen(t, func(o *ops.Options) {
		o.Settings.OpsListen, o.OpsOptional = taken.Addr().String(), true
	})
	if err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
}

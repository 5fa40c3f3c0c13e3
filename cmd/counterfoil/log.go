package main

import (
	"bytes"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/counterfoil/counterfoil/internal/config"
	"github.com/counterfoil/counterfoil/internal/ops"
)

// startLog begins the log of a server program: JSON lines on standard error, which no request
// waits for. It logs what was odd about the settings first. The caller closes lines.
func startLog(level slog.Level, settings []config.Problem) (log *slog.Logger, lines *ops.LogWriter) {
	how := &slog.HandlerOptions{Level: level}
	lines = ops.NewLogWriter(os.Stderr, func(dropped uint64) []byte {
		var line bytes.Buffer
		slog.New(slog.NewJSONHandler(&line, how)).Error("lines of the log were dropped: nobody read them in time", "lines", dropped)
		return line.Bytes()
	})
	log = slog.New(slog.NewJSONHandler(lines, how))
	slog.SetDefault(log) // for packages without a logger of their own
	for _, p := range settings {
		log.Warn("setting", "key", p.Key, "where", p.Where, "problem", p.Problem, "hint", p.Hint)
	}
	return log, lines
}

// nothingAgain is for a server that reads nothing again at SIGHUP.
func nothingAgain(log *slog.Logger) func() {
	return func() {
		log.Info("SIGHUP changes nothing", "hint", "restart to read the settings again; a renewed certificate is read within a minute")
	}
}

// surviveSignals keeps two signals from ending the server. SIGPIPE comes when the reader of
// the log has gone away. SIGHUP comes when a terminal is closed, and asks servers to
// read what they can read again. At each of these, hangup is called.
func surviveSignals(hangup func()) (stop func()) {
	signal.Ignore(syscall.SIGPIPE)
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	go func() {
		for range hangups {
			hangup()
		}
	}()
	return func() { signal.Stop(hangups); close(hangups) }
}

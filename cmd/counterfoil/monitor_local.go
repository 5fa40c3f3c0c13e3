package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/internal/ops"
	"github.com/counterfoil/counterfoil/monitor"
	"github.com/counterfoil/counterfoil/rights"
)

// Where a push check is called.
const (
	pushPath    = "/v1/push/{id}"
	pushPattern = "POST " + pushPath
)

// handler is what the listener of a monitor serves: calls for push checks, and its probes.
func (w *watching) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc(pushPattern, w.push)
	mux.HandleFunc("GET "+pushPath, w.push) // for programs that can do nothing else
	fine := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }
	mux.HandleFunc("GET /healthz", fine)
	mux.HandleFunc("GET /readyz", fine)
	return mux
}

// before lets push checks be called at the listener of another handler.
func (w *watching) before(next http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc(pushPattern, w.push)
	mux.HandleFunc("GET "+pushPath, w.push)
	return http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/v1/push/") {
			mux.ServeHTTP(out, r)
			return
		}
		next.ServeHTTP(out, r)
	})
}

// push takes a call. Nothing of the answer says whether an id is nearly right.
func (w *watching) push(out http.ResponseWriter, r *http.Request) {
	out.Header().Set("Cache-Control", "no-store")
	query := r.URL.Query()
	for name := range query { // what is lost by a wrong name would be missed in the alert
		if name != "status" && name != "message" {
			http.Error(out, fmt.Sprintf("parameter %q is not known", name), http.StatusBadRequest)
			return
		}
	}
	switch err := w.Push(r.Context(), r.PathValue("id"), query.Get("status"), query.Get("message")); {
	case errors.Is(err, monitor.ErrBadRequest):
		http.Error(out, err.Error(), http.StatusBadRequest)
	case errors.Is(err, monitor.ErrUnknown):
		http.NotFound(out, r)
	case err != nil:
		out.Header().Set("Retry-After", "5")
		http.Error(out, "try again", http.StatusServiceUnavailable)
	default:
		out.WriteHeader(http.StatusNoContent)
	}
}

// shownCheck is a check as commands show it.
type shownCheck struct {
	Name        string         `json:"check"`
	Kind        monitor.Kind   `json:"kind"`
	Target      string         `json:"target,omitempty"`
	Status      string         `json:"status,omitempty"` // absent: not known yet
	Since       time.Time      `json:"since,omitzero"`
	Flapping    bool           `json:"flapping,omitempty"`
	LastRun     time.Time      `json:"last_run,omitzero"`
	Seconds     float64        `json:"last_seconds"`
	Reason      monitor.Reason `json:"reason,omitempty"`
	Failure     string         `json:"failure,omitempty"`
	Expires     time.Time      `json:"certificate_ends,omitzero"`
	Maintenance string         `json:"maintenance,omitempty"`
	Mute        *monitor.Mute  `json:"mute,omitempty"`
	Runs        uint64         `json:"runs"`
	Late        uint64         `json:"late_runs"`
	Latest      float64        `json:"latest_seconds"`
	Missed      uint64         `json:"missed_runs"`
}

func shownChecks(all []monitor.Shown) []shownCheck {
	out := make([]shownCheck, 0, len(all))
	for _, s := range all {
		last := s.State.Last
		out = append(out, shownCheck{
			Name: s.Check.Name, Kind: s.Check.Kind, Target: s.Check.Target, Status: string(s.State.Status), Since: s.State.Since, Flapping: s.State.Flapping,
			LastRun: last.At, Seconds: last.Took.Seconds(), Reason: last.Reason, Failure: last.Failure, Expires: last.Expires,
			Maintenance: s.Maintenance, Mute: s.Mute, Runs: s.State.Runs, Late: s.State.Late, Latest: s.State.Latest.Seconds(), Missed: s.State.Missed,
		})
	}
	return out
}

// note is what a person must know beyond the status.
func (s *shownCheck) note() string {
	switch {
	case s.Maintenance != "":
		return "maintenance " + s.Maintenance
	case s.Mute != nil:
		return "muted: " + s.Mute.Why
	case s.Flapping:
		return "flapping: " + s.Failure
	case s.Failure == "" && s.Missed > 0:
		return counted(int(s.Missed), "run") + " missed"
	}
	return s.Failure
}

// muteBody asks for a mute.
type muteBody struct {
	Check string `json:"check"`
	For   string `json:"for"`
	Why   string `json:"why"`
}

// monitorSocket is where commands ask for a monitor of this process.
type monitorSocket struct {
	*monitor.Monitor
	place monitorPlace
	log   *slog.Logger
	known func(context.Context) ([]monitor.Shown, error) // what other nodes know too; nil: there are none
}

// answer answers commands at the socket.
func (s *monitorSocket) answer(ctx context.Context, web *ops.Server) {
	path := s.place.socket()
	if conn, err := dialMonitor(ctx, path); err == nil {
		_ = conn.Close()
		s.log.Warn("commands will not reach this monitor: another program answers at the socket", "socket", path, "hint", "name another one with monitor_socket")
		return
	}
	if err := web.HandleLocal(path, s.localHandler()); err != nil {
		s.log.Warn("commands will not reach this monitor", "socket", path, "error", err.Error())
	}
}

// localHandler answers the owner of the process and root.
func (s *monitorSocket) localHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /checks", func(out http.ResponseWriter, r *http.Request) {
		all := s.Shown()
		if s.known != nil {
			var err error
			if all, err = s.known(r.Context()); err != nil {
				http.Error(out, err.Error(), http.StatusServiceUnavailable)
				return
			}
		}
		_ = writeJSON(out, shownChecks(all))
	})
	mux.HandleFunc("POST /mutes", func(out http.ResponseWriter, r *http.Request) {
		var body muteBody
		err := json.NewDecoder(io.LimitReader(r.Body, 4096)).Decode(&body)
		d, wrong := time.ParseDuration(body.For)
		if err != nil || wrong != nil {
			http.Error(out, "want check, for and why", http.StatusBadRequest)
			return
		}
		switch m, err := s.Mute(r.Context(), rights.Owner(), body.Check, d, body.Why, localActor(r)); {
		case errors.Is(err, monitor.ErrBadRequest):
			http.Error(out, err.Error(), http.StatusBadRequest)
		case errors.Is(err, monitor.ErrUnknown):
			http.Error(out, err.Error(), http.StatusNotFound)
		case err != nil:
			http.Error(out, err.Error(), http.StatusServiceUnavailable)
		default:
			_ = writeJSON(out, m)
		}
	})
	return mux
}

// askMonitor sends a request to the socket of a monitor.
func askMonitor(ctx context.Context, at, method, path string, body, into any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	conn, err := dialMonitor(ctx, at)
	if err != nil {
		return fmt.Errorf("%w: %w", errUnreachable, err)
	}
	client := http.Client{Timeout: time.Minute, Transport: &http.Transport{
		DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil },
	}}
	r, err := http.NewRequestWithContext(ctx, method, localURL+path, bytes.NewReader(data))
	if err != nil {
		return err
	}
	res, err := client.Do(r)
	if err != nil {
		return fmt.Errorf("%w: %w", errUnreachable, err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, 16<<20))
	switch {
	case err != nil:
		return err
	case res.StatusCode == http.StatusNotFound:
		return fmt.Errorf("%s%w", bytes.TrimSpace(answer), hidden{errDenied})
	case res.StatusCode != http.StatusOK:
		return errors.New(string(bytes.TrimSpace(answer)))
	}
	return json.Unmarshal(answer, into)
}

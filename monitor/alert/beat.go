package alert

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/counterfoil/counterfoil/monitor"
)

const (
	beatEvery = time.Minute
	beatFirst = time.Second // between two looks whether the monitor runs
	overdue   = time.Minute
)

// Beat calls File.Heartbeat once a minute until ctx ends: the service behind it tells people when the calls
// stop, because nobody watches a monitor that is gone. While a check is overdue the monitor does not work,
// and the calls stop. They begin when it runs.
func (s *Sender) Beat(ctx context.Context, m *monitor.Monitor, log *slog.Logger) {
	tick := time.NewTicker(beatFirst)
	defer tick.Stop()
	failed, began := false, false
	for {
		target := m.File().Heartbeat.Reveal()
		next, running := m.Due()
		if running && !began {
			began = true
			tick.Reset(beatEvery)
		}
		if running && target != "" && (next.IsZero() || s.now().Sub(next) < overdue) {
			err := s.beat(ctx, target)
			if err != nil && !failed && ctx.Err() == nil {
				log.Warn("the call to heartbeat_url_file failed", "error", err.Error())
			}
			failed = err != nil
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *Sender) beat(ctx context.Context, target string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return errNoURL
	}
	r.Header.Set("User-Agent", userAgent)
	answer, err := s.Post(r)
	if err == nil && !answer.OK() {
		err = answered(answer)
	}
	return err
}

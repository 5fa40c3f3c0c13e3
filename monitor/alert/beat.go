package alert

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/counterfoil/counterfoil/internal/outward"
)

const (
	beatEvery = time.Minute
	overdue   = time.Minute
)

// Beat calls a URL once a minute until ctx ends: the service behind it tells people when the calls stop,
// because nobody watches a monitor that is gone. due is when the next check is due: while one is
// overdue the monitor does not work, and the calls stop. url may change, and be empty.
func Beat(ctx context.Context, post func(*http.Request) (outward.Answer, error), url func() string, due func() time.Time, now func() time.Time, log *slog.Logger) {
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	failed := false
	for {
		target, next := url(), due()
		if target != "" && (next.IsZero() || now().Sub(next) < overdue) {
			err := beat(ctx, post, target)
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

func beat(ctx context.Context, post func(*http.Request) (outward.Answer, error), target string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return errNoURL
	}
	r.Header.Set("User-Agent", userAgent)
	answer, err := post(r)
	if err == nil && !answer.OK() {
		err = answered(answer)
	}
	return err
}

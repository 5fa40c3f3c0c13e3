package revlog

import (
	"context"
	"time"

	"github.com/counterfoil/counterfoil/source"
)

// Lags calls took, until ctx ends or f is stopped, with how long it took from a new entry of the log until all verifiers that
// follow with this feed have it. While it waits for that, further entries are not measured.
func (f *Feed) Lags(ctx context.Context, took func(time.Duration)) {
	at, err := f.log.Head(ctx)
	for {
		var page source.Page
		if err == nil {
			page, err = f.Page(ctx, source.Follow{After: at, Wait: maxWait})
		}
		select {
		case <-f.stopped:
			return
		case <-ctx.Done():
			return
		default:
		}
		if err != nil { // an outage: from the head on, when it is over
			select {
			case <-ctx.Done():
				return
			case <-time.After(time.Second):
			}
			at, err = f.log.Head(ctx)
			continue
		}
		at = page.Upto
		following, bound := f.Following()
		if len(page.Entries) == 0 || following == 0 {
			continue
		}
		begun := time.Now()
		waiting, cancel := context.WithTimeout(ctx, 2*bound)
		heard, _, failed := f.Heard(waiting, at)
		cancel()
		if failed == nil && heard {
			took(time.Since(begun))
		}
	}
}

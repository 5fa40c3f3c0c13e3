package main

import (
	"context"
	"errors"
	"os/exec"
	"runtime"
	"sync"
	"time"
)

// longest is how long a login of a pair is waited for.
const longest = time.Minute

// pairs signs in twice at once, again and again, while another program keeps each processor busy, and returns how
// long each login took. The first pair is none: it starts the processes that hash.
func pairs(ctx context.Context, url string, n int) (took []float64, err error) {
	if n == 0 {
		return nil, nil
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var busy []*exec.Cmd
	for range runtime.NumCPU() {
		c := exec.CommandContext(ctx, "sh", "-c", "while :; do :; done")
		if err := c.Start(); err != nil {
			return nil, err
		}
		busy = append(busy, c)
	}
	defer func() {
		stop()
		for _, c := range busy {
			_ = c.Wait() // it was killed
		}
	}()
	for range 1 + n {
		var both sync.WaitGroup
		var each [2]float64
		var errs [2]error
		for i := range each {
			both.Go(func() {
				ctx, done := context.WithTimeout(ctx, longest)
				defer done()
				each[i], errs[i] = login(ctx, url)
				if errors.Is(errs[i], context.DeadlineExceeded) {
					each[i], errs[i] = float64(longest.Milliseconds()), nil
				}
			})
		}
		both.Wait()
		if err := errors.Join(errs[:]...); err != nil {
			return nil, err
		}
		took = append(took, each[:]...)
	}
	return took[2:], nil
}

package e2e_test

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// visitors ask for one URL without a break, by several methods. Each answer must be 200.
type visitors struct {
	t             *testing.T
	all           sync.WaitGroup
	asked, failed atomic.Int64
	stop          chan struct{}
	answered      chan struct{} // an answer that somebody waits for; closed when all visitors have left
}

func visit(t *testing.T, url, token string) *visitors {
	v := &visitors{t: t, stop: make(chan struct{}), answered: make(chan struct{})}
	for _, method := range []string{"GET", "POST", "GET", "PATCH"} {
		v.all.Go(func() { v.ask(method, url, token) })
	}
	go func() { v.all.Wait(); close(v.answered) }()
	return v
}

func (v *visitors) ask(method, url, token string) {
	for {
		r, err := http.NewRequest(method, url, strings.NewReader(map[string]string{"POST": "body", "PATCH": "body"}[method]))
		if err != nil {
			v.t.Error(err)
			return
		}
		r.Header.Set("Authorization", "Bearer "+token)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			v.t.Error(err)
			return
		}
		data, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if v.asked.Add(1); (err != nil || res.StatusCode != http.StatusOK) && v.failed.Add(1) < 5 {
			v.t.Errorf("%s = %d %s %v", method, res.StatusCode, data, err)
		}
		select {
		case <-v.stop:
			return
		case v.answered <- struct{}{}:
		default:
		}
	}
}

// some returns when some more were answered.
func (v *visitors) some() {
	for range 200 {
		<-v.answered
	}
}

// leave ends the visits, and says how many went wrong.
func (v *visitors) leave() {
	v.t.Helper()
	close(v.stop)
	v.all.Wait()
	if n := v.failed.Load(); n > 0 {
		v.t.Errorf("%d of %d requests failed", n, v.asked.Load())
	}
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"runtime/pprof"
	"slices"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil"
)

// verifiersTask in the environment makes this program the process of the verifiers.
const verifiersTask = "FLEET_TASK"

// task is what the process of the verifiers does.
type task struct {
	URL, Key             string
	Node                 int // process id
	Size, Revocations    int
	Profile, NodeProfile string // files; empty: no profiles
	Ops, OpsToken        string
}

// verifiers runs a task and prints its result.
func verifiers(text string) error {
	var t task
	if err := json.Unmarshal([]byte(text), &t); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	f, err := t.start(ctx)
	if err != nil {
		return err
	}
	r, err := f.measure(ctx)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

type fleet struct {
	task
	all []*counterfoil.Verifier
}

// start starts all verifiers, each over its own connections.
func (t task) start(ctx context.Context) (*fleet, error) {
	f := &fleet{t, make([]*counterfoil.Verifier, t.Size)}
	return f, f.each(func(n int) error {
		via := &http.Transport{MaxIdleConnsPerHost: 1}
		source, err := counterfoil.Remote(f.URL, counterfoil.RemoteOptions{Credential: f.Key, Transport: via})
		if err != nil {
			return err
		}
		f.all[n], err = counterfoil.NewVerifier(ctx, source, counterfoil.Options{
			Issuer: f.URL, Audience: f.URL, InsecureCookies: true, Logger: slog.New(slog.DiscardHandler),
		})
		return err
	})
}

// each calls do for every verifier, in several goroutines.
func (f *fleet) each(do func(n int) error) error {
	const workers = 16
	var all sync.WaitGroup
	errs := make([]error, workers)
	for worker := range workers {
		all.Go(func() {
			for n := worker; n < len(f.all) && errs[worker] == nil; n += workers {
				errs[worker] = do(n)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// settle is how long the node and the verifiers are left alone before a measurement.
const settle = 1500 * time.Millisecond

func (f *fleet) measure(ctx context.Context) (r result, err error) {
	pause(ctx, 2*settle)
	begun := time.Now()
	before, err := used(f.Node)
	if err != nil {
		return r, err
	}
	pause(ctx, 4*time.Second)
	after, err := used(f.Node)
	if err != nil {
		return r, err
	}
	r.Following = (after - before) / time.Since(begun).Seconds()
	if f.Profile != "" {
		end, err := f.profile(ctx)
		if err != nil {
			return r, err
		}
		defer func() { err = errors.Join(err, end()) }()
	}
	var p50, p99, node, verifiers []float64
	for n := range f.Revocations {
		one, err := f.revoke(ctx, fmt.Sprintf("user-%d", n), r.Following)
		if err != nil {
			return r, err
		}
		p50, p99 = append(p50, one.P50), append(p99, one.P99)
		node, verifiers = append(node, one.Revocation), append(verifiers, one.Verifiers)
	}
	r.P50, r.P99, r.Revocation, r.Verifiers = median(p50), median(p99), median(node), median(verifiers)
	return r, nil
}

// revoke makes a session, has every verifier accept its token, revokes it, and waits until every
// verifier has refused it.
func (f *fleet) revoke(ctx context.Context, subject string, following float64) (r result, err error) {
	var made struct {
		Access  string `json:"access_token"`
		Session struct{ ID string }
	}
	if err := f.post(ctx, "/v1/admin/sessions", map[string]string{"subject": subject, "carrier": "bearer"}, &made); err != nil {
		return r, err
	}
	ended := make([]chan time.Time, len(f.all))
	err = f.each(func(n int) error {
		s, err := f.all[n].Verify(ctx, made.Access)
		for begun := time.Now(); errors.Is(err, counterfoil.ErrStale) && time.Since(begun) < 30*time.Second; { // the machine is too busy
			pause(ctx, 10*time.Millisecond)
			s, err = f.all[n].Verify(ctx, made.Access)
		}
		if err != nil {
			return err
		}
		live, _ := f.all[n].Watch(ctx, s)
		refused := make(chan time.Time, 1)
		context.AfterFunc(live, func() { refused <- time.Now() })
		ended[n] = refused
		return nil
	})
	if err != nil {
		return r, err
	}
	pause(ctx, settle)
	begun := time.Now()
	node, err := used(f.Node)
	if err != nil {
		return r, err
	}
	own, err := used(os.Getpid())
	if err != nil {
		return r, err
	}
	if err := f.post(ctx, "/v1/admin/revocations", map[string]string{"scope": "session", "id": made.Session.ID}, nil); err != nil {
		return r, err
	}
	returned := time.Now()
	took := make([]float64, len(f.all))
	for n, refused := range ended {
		select {
		case at := <-refused:
			took[n] = max(at.Sub(returned).Seconds()*1000, 0)
		case <-time.After(15 * time.Second):
			return r, fmt.Errorf("verifier %d still accepts", n)
		}
	}
	pause(ctx, 100*time.Millisecond) // until the node waits again
	nodeAfter, err := used(f.Node)
	if err != nil {
		return r, err
	}
	ownAfter, err := used(os.Getpid())
	slices.Sort(took)
	r.P50, r.P99 = took[len(took)/2], took[len(took)*99/100]
	r.Revocation = nodeAfter - node - following*time.Since(begun).Seconds()
	r.Verifiers = ownAfter - own
	return r, err
}

func (f *fleet) post(ctx context.Context, path string, body, into any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, f.URL+path, bytes.NewReader(data))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+f.Key)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s: status %d: %s", path, resp.StatusCode, answer)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(answer, into)
}

// profile begins profiles of both processes. That of the node lasts 20 s.
func (f *fleet) profile(ctx context.Context) (end func() error, err error) {
	own, err := os.Create(f.Profile)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(own); err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.Ops+"/debug/pprof/profile?seconds=20", nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+f.OpsToken)
	done := make(chan error, 1)
	go func() {
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			done <- err
			return
		}
		defer resp.Body.Close()
		data, err := io.ReadAll(resp.Body)
		if err == nil {
			err = os.WriteFile(f.NodeProfile, data, 0o600)
		}
		done <- err
	}()
	return func() error {
		pprof.StopCPUProfile()
		return errors.Join(<-done, own.Close())
	}, nil
}

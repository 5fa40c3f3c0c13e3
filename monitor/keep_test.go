package monitor_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil/monitor"
)

// broken is a Keeper that cannot keep anything for a while.
type broken struct {
	recording
	away    atomic.Bool
	refused atomic.Int64
}

func (k *broken) Keep(ctx context.Context, s monitor.Step) error {
	if k.away.Load() {
		k.refused.Add(1)
		return errors.New("the store is away")
	}
	return k.recording.Keep(ctx, s)
}

func newRecording() recording {
	return recording{results: map[string][]monitor.Result{}}
}

// While nothing can be kept, the checks go on, and nothing is lost: results and events are kept
// within seconds after it can.
func TestKeeperIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Hour)
		defer cancel()
		out, keeper := new(told), &broken{recording: newRecording()}
		keeper.Send = out.send
		target := &scripted{fails: during([2]time.Duration{10 * time.Minute, 30 * time.Minute})}
		m, err := monitor.New(parse(t, "checks: [{name: web, http: 'http://example.com'}]"), monitor.Options{
			Keeper: keeper, Dial: noNetwork, Probes: probes(t, map[string]*scripted{"web": target}),
		})
		if err != nil {
			t.Fatal(err)
		}
		target.first = func() {
			time.AfterFunc(5*time.Minute+time.Second, func() { keeper.away.Store(true) })
			time.AfterFunc(45*time.Minute+30*time.Second, func() { keeper.away.Store(false) })
		}
		if err := m.Run(ctx); err != nil {
			t.Error(err)
		}
		if want := []string{"down 10m20s", "up 30m10s"}; !slices.Equal(out.lines("web", target.began), want) {
			t.Errorf("told %q, want %q", out.lines("web", target.began), want)
		}
		if n := len(keeper.results["web"]); n != len(target.ran) || n < 100 {
			t.Errorf("%d results of %d runs are kept", n, len(target.ran))
		}
		if keeper.refused.Load() < 100 {
			t.Errorf("tried %d times to keep: the events wait for the next run", keeper.refused.Load())
		}
	})
}

// When the file is read again, a check goes on from its state, also with another definition; one that
// is taken out stops, and one that comes back goes on.
func TestSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 40*time.Minute)
		defer cancel()
		out := new(told)
		web, other := &scripted{takes: time.Second, fails: during([2]time.Duration{0, time.Hour})}, &scripted{fails: during()}
		const both = "checks: [{name: web, http: 'http://example.com'}, {name: other, http: 'http://example.com'}]"
		m, err := monitor.New(parse(t, both), monitor.Options{
			Keeper: &monitor.Memory{Send: out.send}, Dial: noNetwork, Probes: probes(t, map[string]*scripted{"web": web, "other": other}),
		})
		if err != nil {
			t.Fatal(err)
		}
		set := func(after time.Duration, text string) {
			time.AfterFunc(after, func() {
				if err := m.Set(parse(t, text)); err != nil {
					t.Error(err)
				}
			})
		}
		web.first = func() {
			set(10*time.Second+500*time.Millisecond, both)                                                  // in the middle of a run, which goes on
			set(20*time.Second+500*time.Millisecond, strings.Replace(both, "web,", "web, title: Shop,", 1)) // a run that is cut off, and done again
			set(10*time.Minute, "checks: [{name: web, title: Shop, http: 'http://example.com'}]")
			set(20*time.Minute, both)
		}
		if err := m.Run(ctx); err != nil {
			t.Error(err)
		}
		if got := out.lines("web", web.began); len(got) != 1 || !strings.HasPrefix(got[0], "down 21.5") {
			t.Errorf("told %q, want down once, after the run that was done again", got)
		}
		if slices.ContainsFunc(other.ran, func(at time.Duration) bool {
			since := other.began.Add(at).Sub(web.began)
			return since > 10*time.Minute+time.Second && since < 20*time.Minute
		}) {
			t.Error("a check that is not in the file ran")
		}
		if n := len(other.ran); n < 28 || n > 32 {
			t.Errorf("the check that came back ran %d times in 30 minutes", n)
		}
		for _, s := range m.Shown() {
			if s.State.Check != "" {
				t.Errorf("shown after the end: %+v", s)
			}
		}
	})
}

// What the file allows inside is in force before its checks run, and after an error nothing has changed.
func TestAllow(t *testing.T) {
	var allowed []string
	var wrong error
	old := parse(t, "inside: [10.0.0.1]\nchecks: [{name: web, http: 'http://example.com'}]")
	m, err := monitor.New(old, monitor.Options{Keeper: new(monitor.Memory), Dial: noNetwork, Allow: func(inside []string) error {
		if wrong == nil {
			allowed = inside
		}
		return wrong
	}})
	if err != nil || !slices.Equal(allowed, []string{"10.0.0.1"}) {
		t.Fatal(allowed, err)
	}
	wrong = errors.New("no network")
	if err := m.Set(parse(t, "inside: [10.0.0.2]\nchecks: [{name: web, http: 'http://example.com'}]")); !errors.Is(err, wrong) || m.File() != old {
		t.Errorf("Set = %v", err)
	}
	wrong = nil
	if err := m.Set(parse(t, "inside: [10.0.0.2]\nchecks: [{name: web, tls: 'example.com:443', tls_options: {ca: none}}]")); err == nil || m.File() != old || allowed[0] != "10.0.0.1" {
		t.Errorf("Set = %v, allowed is %v", err, allowed)
	}
}

// Somebody must call in time. A call that comes ends a down at once, also one to another node.
func TestPush(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "id", "0123456789abcdef0123456789abcdef\n")
	file, err := monitor.Parse(filepath.Join(dir, "monitor.yaml"), []byte("checks: [{name: backup, push: id, every: 1h, grace: 10m}]"))
	if err != nil {
		t.Fatal(err)
	}
	id := file.Checks[0].PushID.Reveal()
	synctest.Test(t, func(t *testing.T) {
		began, out := time.Now(), new(told)
		keeper := &recording{results: map[string][]monitor.Result{}}
		keeper.Send = out.send
		nodes := make([]*monitor.Monitor, 2)
		for i := range nodes {
			if nodes[i], err = monitor.New(file, monitor.Options{Keeper: keeper, Dial: noNetwork}); err != nil {
				t.Fatal(err)
			}
		}
		if err := nodes[0].Push(t.Context(), id+"0", "", ""); !errors.Is(err, monitor.ErrUnknown) {
			t.Errorf("Push(another id) = %v, want ErrUnknown", err)
		}
		call := func(after time.Duration, node int, ok bool) {
			time.AfterFunc(after, func() {
				status := map[bool]string{true: "up", false: "down"}[ok]
				if err := nodes[node].Push(context.Background(), id, status, "disk full"); err != nil {
					t.Error(err)
				}
			})
		}
		call(time.Hour+5*time.Minute, 0, true)     // late, and within the grace
		call(2*time.Hour, 1, true)                 // at the node that runs nothing
		call(3*time.Hour, 1, true)                 // the same; then nobody calls until the next
		call(6*time.Hour+3*time.Second, 1, true)   // ends the down within seconds
		call(6*time.Hour+30*time.Minute, 0, false) // says that it failed
		call(7*time.Hour, 0, true)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Hour)
		if err := nodes[0].Run(ctx); err != nil {
			t.Error(err)
		}
		cancel()
		ctx, cancel = context.WithTimeout(t.Context(), 150*time.Minute)
		defer cancel()
		if err := nodes[0].Run(ctx); err != nil { // another monitor takes over
			t.Error(err)
		}
		want := []string{"down 4h10m0s", "up 6h0m10s", "down 6h30m0s", "up 7h0m0s"}
		if got := out.lines("backup", began); !slices.Equal(got, want) {
			t.Errorf("told %q, want %q", got, want)
		}
		var line strings.Builder
		for _, r := range keeper.results["backup"] {
			line.WriteString(map[bool]string{true: "+", false: "-"}[r.OK])
		}
		if line.String() != "+++--+-+" {
			t.Errorf("results %s", line.String())
		}
	})
}

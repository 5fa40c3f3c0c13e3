package password

import (
	"context"
	"runtime"
	"time"
	"unsafe"
)

// ProductionPolicy is what the program hashes with.
var ProductionPolicy = production

// Hashed is how many hashes p has computed.
func (p *Passwords) Hashed() int64 { return p.hashed.Load() }

// Doubled is how many jobs slot 0 did again.
func (p *Passwords) Doubled() int {
	p.slots.mu.Lock()
	defer p.slots.mu.Unlock()
	return p.slots.doubled
}

// MaxLocal is how many callers on this machine wait or run.
const MaxLocal = maxLocal

// Hold takes every slot, and no place in the queue, until release is called.
func (p *Passwords) Hold() (release func()) {
	var all []func()
	for range p.slots.count() {
		_, free, _ := p.slots.take(context.Background())
		all = append(all, free)
	}
	return func() {
		for _, free := range all {
			free()
		}
	}
}

// Fill takes every slot and every place in the queue until release is called.
func (p *Passwords) Fill() (release func()) {
	free := p.Hold()
	for range cap(p.queue) {
		p.queue <- struct{}{}
	}
	return func() {
		for range cap(p.queue) {
			<-p.queue
		}
		free()
		runtime.Gosched()
	}
}

// Hash makes the string of a hash of so many KiB and passes.
func Hash(password string, m, t uint32) string { return hash(password, params{m: m, t: t, p: 1}) }

// recorder notes the work of its hasher.
type recorder struct {
	hasher
	spent map[string]int
}

func (r recorder) note(e effort) { r.spent[e.Kind] += e.Units }

func (r recorder) verify(stored, password string, policy params) (match, outdated bool, err error) {
	if k, err := read(stored); err == nil {
		r.note(k.effort)
	}
	return r.hasher.verify(stored, password, policy)
}

func (r recorder) spend(e effort) error {
	r.note(e)
	return r.hasher.spend(e)
}

// Record returns the work of what is refused from now on, by the kind of hash. Hashes are
// computed one after another while it is used.
func (p *Passwords) Record() (spent map[string]int) {
	spent = map[string]int{}
	for n, h := range p.slots.all {
		p.slots.all[n] = recorder{h, spent}
	}
	return spent
}

// sleeper takes so long for each unit of a job.
type sleeper struct {
	here
	each time.Duration
}

func (s sleeper) spend(e effort) error { time.Sleep(time.Duration(e.Units) * s.each); return nil }

// Sleepers are slots whose jobs take so long for each unit, and how many of them slot 0 did again. attempt has jobs of so many units done,
// one after another.
func Sleepers(each ...time.Duration) (attempt func(units ...int), doubled func() int) {
	var all []hasher
	for _, d := range each {
		all = append(all, sleeper{each: d})
	}
	p := &Passwords{slots: newSlots(all, true)}
	return func(units ...int) {
		h, release, err := p.slots.take(context.Background())
		if err != nil {
			panic(err)
		}
		defer release()
		for _, n := range units {
			if err := h.spend(effort{Units: n}); err != nil {
				panic(err)
			}
		}
	}, p.Doubled
}

// secretive hashes nothing, and tells when the garbage collector has the password of a job.
type secretive struct{ here }

func (secretive) verify(string, string, params) (match, outdated bool, err error) {
	return true, false, nil
}

// Forgotten is closed by the garbage collector once nothing has the password of a job any more, which has had its answer, on slots that stay open.
func Forgotten() (forgotten <-chan struct{}, stay func()) {
	gone := make(chan struct{})
	s := newSlots([]hasher{secretive{}}, true)
	password := make([]byte, 64)
	runtime.AddCleanup(&password[0], func(gone chan struct{}) { close(gone) }, gone)
	text := unsafe.String(&password[0], len(password))
	if match, _, err := s.verify("", text, insecure); !match || err != nil {
		panic(err)
	}
	return gone, func() { runtime.KeepAlive(s) }
}

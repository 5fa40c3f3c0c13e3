package password

import "runtime"

// ProductionPolicy is what the program hashes with.
var ProductionPolicy = production

// Hashed is how many hashes p has computed.
func (p *Passwords) Hashed() int64 { return p.hashed.Load() }

// Fill takes every slot and every place in the queue until release is called.
func (p *Passwords) Fill() (release func()) {
	var all []hasher
	for range cap(p.slots) {
		all = append(all, <-p.slots)
	}
	for range cap(p.queue) {
		p.queue <- struct{}{}
	}
	return func() {
		for range cap(p.queue) {
			<-p.queue
		}
		for _, h := range all {
			p.slots <- h
		}
		runtime.Gosched()
	}
}

// Hash makes the string of a hash of so many KiB and passes.
func Hash(password string, m, t uint32) string { return hash(password, params{m: m, t: t, p: 1}) }

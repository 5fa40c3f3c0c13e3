package password

// Load is how busy the hashing is.
type Load struct {
	Slots   int // hashes that may run at a time
	Running int
	Waiting int // attempts in the queue
}

// Load returns the figures of this moment, for metrics.
func (p *Passwords) Load() Load {
	running := p.slots.running()
	return Load{Slots: p.slots.count(), Running: running, Waiting: max(len(p.queue)+len(p.kept)-running, 0) + p.local.waiting()}
}

package revlog

// Waiting returns at how many cursors questions wait.
func (f *Feed) Waiting() int {
	f.polls.mu.Lock()
	defer f.polls.mu.Unlock()
	return len(f.polls.waiters)
}

var FanOut = fanOut

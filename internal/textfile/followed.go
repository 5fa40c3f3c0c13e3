package textfile

import (
	"os"
	"sync"
	"time"
)

// Followed is what was read from a file that an operator may change while the program runs. Set the exported fields,
// and call Load before anything else.
type Followed[T any] struct {
	Path   string
	Read   func() (T, error) // reads the file, and what belongs to it
	Failed func(error)       // is told why a changed file cannot be used

	mu      sync.Mutex // guards the fields below
	value   T
	changed time.Time // of the file, when value was read; zero: it was not
	looked  time.Time
}

// Load reads the file.
func (f *Followed[T]) Load() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.look(time.Now())
}

// Current returns what the file holds. It looks at the file once a minute. If the file cannot be used, the value
// stays as it was, and the next look reads the file again: another file that belongs to it may come later.
func (f *Followed[T]) Current() T {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := time.Now(); now.Sub(f.looked).Abs() >= time.Minute {
		if err := f.look(now); err != nil {
			f.Failed(err)
		}
	}
	return f.value
}

// look is called with mu held.
func (f *Followed[T]) look(now time.Time) error {
	f.looked = now
	info, err := os.Stat(f.Path)
	if err != nil || !f.changed.IsZero() && info.ModTime().Equal(f.changed) {
		return err
	}
	value, err := f.Read()
	if err != nil {
		return err
	}
	f.value, f.changed = value, info.ModTime()
	return nil
}

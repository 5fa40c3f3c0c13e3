package monitor

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// Step is what one run of a check changes. It is kept as a whole.
type Step struct {
	State   State
	Results []Result // oldest first; more than one if earlier ones could not be kept
	Events  []Event  // to send
}

// Mute keeps the events of a check from people.
type Mute struct {
	Check string    `json:"check"`
	Until time.Time `json:"until"`
	Why   string    `json:"why"`
	By    string    `json:"by,omitempty"`
}

// Pushed is a call that a push check got.
type Pushed struct {
	At      time.Time `json:"at"`
	OK      bool      `json:"ok"`
	Message string    `json:"message,omitempty"`
}

// Kept is what a Keeper has. All maps are by the names of checks.
type Kept struct {
	States map[string]State
	Mutes  map[string]Mute
}

// Keeper keeps what a monitor knows, for the next monitor that takes over. Its methods are called
// by many goroutines at once.
type Keeper interface {
	// Load returns all that is kept.
	Load(ctx context.Context) (Kept, error)

	// Keep keeps a step. If the step has events, it and they are durable when Keep returns, and the
	// events are sent once. If it has none, Keep does not wait for anything, and may keep the step up to a
	// minute later. After an error the monitor goes on, and calls Keep again with a step that
	// has the newest state and all that was not kept: an event may come again, with the same ID.
	Keep(ctx context.Context, s Step) error

	// Push keeps a call for a push check, and LastPush returns the last one, of this node or
	// another. Without one it returns the zero Pushed.
	Push(ctx context.Context, check string, p Pushed) error
	LastPush(ctx context.Context, check string) (Pushed, error)

	// SetMute keeps m in place of an earlier mute of the check. One that has ended is none.
	SetMute(ctx context.Context, m Mute) error
	// Mutes returns the mutes, by the names of their checks.
	Mutes(ctx context.Context) (map[string]Mute, error)

	// Flush makes all that was given to Keep durable.
	Flush(ctx context.Context) error
}

// Memory is a Keeper that forgets all when the process ends.
type Memory struct {
	Send func(Event) // sends an event, and does not wait for anything; nil: nobody is told

	mu     sync.Mutex // guards the fields below
	kept   Kept
	pushes map[string]Pushed
}

var _ Keeper = (*Memory)(nil)

// Load implements Keeper.
func (m *Memory) Load(context.Context) (Kept, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return Kept{maps.Clone(m.kept.States), maps.Clone(m.kept.Mutes)}, nil
}

// Keep implements Keeper.
func (m *Memory) Keep(_ context.Context, s Step) error {
	m.mu.Lock()
	if m.kept.States == nil {
		m.kept.States = map[string]State{}
	}
	s.State.Changes = slices.Clone(s.State.Changes)
	m.kept.States[s.State.Check] = s.State
	m.mu.Unlock()
	if m.Send != nil {
		for _, e := range s.Events {
			m.Send(e)
		}
	}
	return nil
}

// Push implements Keeper.
func (m *Memory) Push(_ context.Context, check string, p Pushed) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.pushes == nil {
		m.pushes = map[string]Pushed{}
	}
	m.pushes[check] = p
	return nil
}

// LastPush implements Keeper.
func (m *Memory) LastPush(_ context.Context, check string) (Pushed, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.pushes[check], nil
}

// SetMute implements Keeper.
func (m *Memory) SetMute(_ context.Context, mute Mute) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.kept.Mutes == nil {
		m.kept.Mutes = map[string]Mute{}
	}
	m.kept.Mutes[mute.Check] = mute
	return nil
}

// Mutes implements Keeper.
func (m *Memory) Mutes(context.Context) (map[string]Mute, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.kept.Mutes), nil
}

// Flush implements Keeper.
func (m *Memory) Flush(context.Context) error { return nil }

package redis

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

// withHead runs a script that begins with head.lua, and returns the items of its answer. If
// the script answers "unknown", withHead inspects the server and runs the script again.
func (s *Store) withHead(ctx context.Context, run func(ctx context.Context, head []string) (rueidis.RedisMessage, error)) ([]rueidis.RedisMessage, error) {
	for range 3 {
		s.mu.Lock()
		seen, server := s.seen, s.server.arg()
		s.mu.Unlock()
		m, err := run(ctx, []string{epochText(rand.Uint64()), epochText(seen.Epoch), strconv.FormatUint(seen.Seq, 10), server})
		if err != nil {
			return nil, err
		}
		items, err := m.ToArray()
		if err != nil {
			return nil, err
		}
		if len(items) > 1 {
			return items, nil
		}
		if len(items) == 0 {
			return nil, errCorrupt
		}
		word, err := items[0].ToString()
		if err != nil {
			return nil, err
		}
		switch word {
		case "conflict":
			return nil, store.ErrConflict
		case "lost":
			return nil, store.ErrLost
		}
		if _, err := s.inspect(ctx); err != nil {
			return nil, err
		}
	}
	return nil, errors.New("the primary keeps changing")
}

func epochText(epoch uint64) string { return fmt.Sprintf("%016x", epoch) }

// cursor reads a head, and keeps the latest one in s.seen. If the server ever has an earlier
// head of that epoch, it has lost data (REV-09).
func (s *Store) cursor(items []rueidis.RedisMessage) (head counterfoil.Cursor, err error) {
	epoch, err := items[0].ToString()
	if err != nil {
		return head, err
	}
	if head.Epoch, err = strconv.ParseUint(epoch, 16, 64); err != nil {
		return head, err
	}
	seq, err := items[1].ToString()
	if err != nil {
		return head, err
	}
	if head.Seq, err = strconv.ParseUint(seq, 10, 64); err != nil {
		return head, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen.Epoch != 0 && s.seen.Epoch != head.Epoch {
		s.log.Error("store: the log has begun another epoch: a restart or a failover of Redis may have lost the last commits", "was", s.seen, "is", head)
	}
	if s.seen.Epoch != head.Epoch || s.seen.Seq < head.Seq {
		s.seen = head
	}
	return head, nil
}

// Remember implements [store.Store]. Every later call sends seen to the server, whose script
// compares it with the head.
func (s *Store) Remember(ctx context.Context, seen counterfoil.Cursor) error {
	s.mu.Lock()
	if s.fresh && seen.Epoch != 0 && seen.Epoch != s.seen.Epoch {
		s.log.Warn("store: this Redis had no log: it is another one than this node used before, or it has lost everything; all users sign in again", "was", seen, "is", s.seen)
		seen = s.seen // nothing of the other log can be lost here
	}
	s.fresh = false
	if seen != (counterfoil.Cursor{}) && !seen.Before(s.seen) {
		s.seen = seen
	}
	s.mu.Unlock()
	_, _, err := s.Log(ctx, seen, 1)
	return err
}

// Time implements [store.Store]. It is the clock of the primary.
func (s *Store) Time(ctx context.Context) (time.Time, error) {
	parts, err := s.read(ctx, timeScript)
	var seconds, micros int64
	if err == nil {
		seconds, micros, err = timeOf(parts)
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("redis: time: %w", err)
	}
	return time.Unix(seconds, micros*1000), nil
}

// timeOf reads the answer of TIME: seconds since 1970 and microseconds, as texts.
func timeOf(answer rueidis.RedisMessage) (seconds, micros int64, err error) {
	parts, err := answer.AsStrSlice()
	if err != nil || len(parts) != 2 {
		return 0, 0, errors.Join(errors.New("TIME has another answer than two numbers"), err)
	}
	seconds, err = strconv.ParseInt(parts[0], 10, 64)
	if err == nil {
		micros, err = strconv.ParseInt(parts[1], 10, 64)
	}
	return seconds, micros, err
}

// Log implements [store.Store]. One script on the primary reads head and entries.
func (s *Store) Log(ctx context.Context, after counterfoil.Cursor, limit int) ([]source.Revocation, counterfoil.Cursor, error) {
	entries, head, err := s.page(ctx, after, limit)
	if err != nil {
		return nil, counterfoil.Cursor{}, fmt.Errorf("redis: log: %w", err)
	}
	return entries, head, nil
}

func (s *Store) page(ctx context.Context, after counterfoil.Cursor, limit int) ([]source.Revocation, counterfoil.Cursor, error) {
	items, err := s.withHead(ctx, func(ctx context.Context, head []string) (rueidis.RedisMessage, error) {
		return s.read(ctx, logScript, append(head, epochText(after.Epoch), strconv.FormatUint(after.Seq, 10), strconv.Itoa(limit))...)
	})
	if err != nil {
		return nil, counterfoil.Cursor{}, err
	}
	head, err := s.cursor(items)
	if err != nil {
		return nil, head, err
	}
	page, err := items[2].ToArray()
	if err != nil {
		return nil, head, err
	}
	entries := make([]source.Revocation, len(page))
	for i, m := range page {
		if err := parseEntry(m, &entries[i]); err != nil {
			return nil, head, err
		}
		entries[i].At.Epoch = head.Epoch
	}
	return entries, head, nil
}

// parseEntry reads an item of the stream: its id, which is seq-0, and its fields.
func parseEntry(m rueidis.RedisMessage, e *source.Revocation) error {
	item, err := m.ToArray()
	if err != nil || len(item) != 2 {
		return errCorrupt
	}
	id, err := item[0].ToString()
	if err != nil || len(id) < 3 {
		return errCorrupt
	}
	if e.At.Seq, err = strconv.ParseUint(id[:len(id)-2], 10, 64); err != nil {
		return errCorrupt
	}
	fields, err := item[1].AsStrSlice()
	if err != nil || len(fields) != 8 {
		return errCorrupt
	}
	expires, err := strconv.ParseInt(fields[5], 10, 64)
	if err != nil {
		return errCorrupt
	}
	e.Scope, e.ID, e.Expires, e.Reason = source.Scope(fields[1]), fields[3], fromUnix(expires), fields[7]
	return nil
}

// Wait implements [store.Store]. A message only wakes its caller: its content is not used.
func (s *Store) Wait(ctx context.Context, after counterfoil.Cursor) error {
	s.mu.Lock()
	moved := s.moved // taken before the head is read, so that Wait misses no move
	s.mu.Unlock()
	_, head, err := s.Log(ctx, after, 1)
	if err != nil || head != after {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-moved:
		return nil
	}
}

func (s *Store) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		close(s.moved)
		s.moved = make(chan struct{})
	}
}

// listen wakes every caller of Wait at each message. It also wakes them when a subscription
// begins and when it breaks, because it may have missed messages.
func (s *Store) listen(ctx context.Context) {
	defer close(s.stopped)
	subscribed := rueidis.WithOnSubscriptionHook(ctx, func(rueidis.PubSubSubscription) { s.wake() })
	for ctx.Err() == nil {
		_ = s.client.Receive(subscribed, s.client.B().Subscribe().Channel(s.prefix+"moved").Build(), func(rueidis.PubSubMessage) { s.wake() })
		s.wake()
		select {
		case <-ctx.Done():
		case <-time.After(50*time.Millisecond + rand.N(200*time.Millisecond)): // jitter, so that the nodes do not reconnect all at once
		}
	}
}

const (
	sweepPage = 200 // takes the server a few milliseconds
	logPage   = 500
)

// Sweep implements [store.Store].
func (s *Store) Sweep(ctx context.Context, before time.Time) (int, error) {
	n, err := s.sweep(ctx, before.Unix())
	if err != nil {
		return n, fmt.Errorf("redis: sweep: %w", err)
	}
	return n, nil
}

func (s *Store) sweep(ctx context.Context, before int64) (total int, err error) {
	unusable, err := s.recheck(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, unusable) }() // an unusable server is swept, and reported at every sweep
	b := s.client.B().Zrangebyscore().Key(s.prefix + "slices").Min("-inf").Max(strconv.FormatInt(before/1024, 10)).Build()
	slices, err := s.client.Do(ctx, b).AsStrSlice()
	if err != nil {
		return 0, err
	}
	for _, slice := range slices {
		for from := 0; ; from += sweepPage {
			checked, dropped, err := s.pair(ctx, sweepScript, slice, strconv.Itoa(from), strconv.Itoa(sweepPage), strconv.FormatInt(before, 10))
			if err != nil {
				return total, err
			}
			n, err := strconv.Atoi(dropped)
			if err != nil {
				return total, err
			}
			if total += n; checked < sweepPage {
				break
			}
		}
	}
	for from := "-"; ; {
		checked, last, err := s.pair(ctx, sweepLogScript, from, strconv.Itoa(logPage), strconv.FormatInt(before, 10))
		if err != nil || checked < logPage {
			return total, err
		}
		from = "(" + last
	}
}

// pair runs a script that answers a count and a text.
func (s *Store) pair(ctx context.Context, script *rueidis.Lua, args ...string) (int, string, error) {
	if err := s.usable(); err != nil {
		return 0, "", err
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	items, err := script.Exec(ctx, s.client, s.head, args).AsStrSlice()
	if err != nil {
		return 0, "", err
	}
	if len(items) != 2 {
		return 0, "", errCorrupt
	}
	n, err := strconv.Atoi(items[0])
	return n, items[1], err
}

package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/counterfoil/counterfoil/store"
)

// Examine opens the store as a node does, and describes it. It returns the error of [Open],
// for example for a server that evicts keys. It does not count Overdue.
func Examine(ctx context.Context, o Options) (e store.Examination, err error) {
	s, err := Open(ctx, o)
	if err != nil {
		return e, err
	}
	is := s.Describe()
	e.Engine, e.Class, e.Why = "Redis", is.Durability, is.WhyLossy
	return e, errors.Join(s.examine(ctx, &e), s.Close())
}

func (s *Store) examine(ctx context.Context, e *store.Examination) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	begun := time.Now()
	text, err := s.client.Do(ctx, s.client.B().Info().Build()).ToString()
	if err != nil {
		return err
	}
	e.Answers = time.Since(begun)
	info := parseInfo(text)
	if micros, err := strconv.ParseInt(info["server_time_usec"], 10, 64); err == nil {
		e.Within = max(e.Answers/2, time.Microsecond)
		e.Ahead = time.UnixMicro(micros).Sub(begun.Add(e.Answers / 2))
	}
	e.Engine = "Redis " + info["redis_version"]
	if v := info["valkey_version"]; v != "" {
		e.Engine = "Valkey " + v
	}
	used, err1 := strconv.ParseInt(info["used_memory"], 10, 64)
	most, err2 := strconv.ParseInt(info["maxmemory"], 10, 64)
	if err1 == nil && err2 == nil && most > 0 && used > most/10*9 {
		e.Remarks = append(e.Remarks, store.Remark{
			Text: fmt.Sprintf("%d of %d MiB of memory are used: when it is full, nobody can sign in or be signed out", used>>20, most>>20), Hint: "raise maxmemory",
		})
	}
	s.mu.Lock()
	v := s.server
	s.mu.Unlock()
	if missing := s.tooFew(v); missing != "" {
		e.Remarks = append(e.Remarks, store.Remark{Text: missing, Hint: "connect the replicas, or lower wait", Broken: true})
	}
	return nil
}

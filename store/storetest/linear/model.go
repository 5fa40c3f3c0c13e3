package linear

import (
	"fmt"
	"slices"
	"strings"

	"github.com/anishathalye/porcupine"

	"github.com/counterfoil/counterfoil"
)

type verb int

const (
	seeSubject verb = iota
	seeSession
	seeGrant
	create
	rotate
	end
	endAll
	readLog
)

// call is what was asked.
type call struct {
	verb                             verb
	subject                          int
	subjectRev, sessionRev, grantRev uint64 // the revisions that a commit names
	write                            int    // what a grant is told it was written by
}

// answer is what came back.
type answer struct {
	conflict bool
	rev      uint64 // of what was seen; 0: absent
	write    int    // in the grant that was seen
	head     counterfoil.Cursor
	entries  int
}

// state is all there is to know of a store, in a model of one call at a time.
type state struct {
	head    counterfoil.Cursor
	entries int
	of      [subjects]struct {
		subject, session, grant uint64 // revisions
		write                   int
	}
}

func model(head counterfoil.Cursor) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return state{head: head} },
		Step: func(was, in, out any) (bool, any) { return was.(state).step(in.(call), out.(answer)) },
	}
}

// step reports whether a may be the answer to c now, and what is there after it.
func (s state) step(c call, a answer) (bool, state) {
	of := &s.of[c.subject] // of a copy: s is a value
	switch c.verb {
	case seeSubject:
		return a.rev == of.subject, s
	case seeSession:
		return a.rev == of.session, s
	case seeGrant:
		return a.rev == of.grant && a.write == of.write, s
	case readLog:
		return a.head == s.head && a.entries == s.entries, s
	}
	var holds bool
	next := *of
	switch c.verb {
	case create:
		holds = of.subject == c.subjectRev && of.session == 0 && of.grant == 0
		next.session, next.grant, next.write = 1, 1, c.write
	case rotate:
		holds = of.subject == c.subjectRev && of.session == c.sessionRev && of.grant == c.grantRev
		next.grant, next.write = of.grant+1, c.write
	case end:
		holds = true
		next.session, next.grant, next.write = 0, 0, 0
	case endAll:
		holds = of.subject == c.subjectRev
		next.subject, next.session, next.grant, next.write = of.subject+1, 0, 0, 0
	}
	if a.conflict || !holds {
		return a.conflict && !holds, s
	}
	*of = next
	if c.verb == create || c.verb == rotate {
		return a.head == s.head, s
	}
	moved := a.head.Epoch == s.head.Epoch && a.head.Seq > s.head.Seq
	s.head, s.entries = a.head, s.entries+1
	return moved, s
}

// describe lists the calls by when they began.
func describe(calls []porcupine.Operation) string {
	slices.SortFunc(calls, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
	var b strings.Builder
	for _, o := range calls {
		fmt.Fprintf(&b, "\n%d: %d to %d: %+v = %+v", o.ClientId, o.Call, o.Return, o.Input, o.Output)
	}
	return b.String()
}

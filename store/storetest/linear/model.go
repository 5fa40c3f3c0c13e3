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
	getSubject verb = iota
	getSession
	getGrant
	create
	rotate
	end
	endAll
	readLog
)

// call is the input of a call.
type call struct {
	verb                             verb
	subject                          int
	subjectRev, sessionRev, grantRev uint64 // the revisions that a commit names
	write                            int    // the number of the call, which it writes into the grant
}

// answer is the output of a call.
type answer struct {
	conflict bool
	rev      uint64 // of the record that was read; 0: absent
	write    int    // in the grant that was read
	head     counterfoil.Cursor
	entries  int
}

// state is the whole state of a store in the model, which makes one call at a time.
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

// step reports whether a can be the answer to c in state s. It returns the state after c.
func (s state) step(c call, a answer) (bool, state) {
	of := &s.of[c.subject] // changes a copy: s is a value
	switch c.verb {
	case getSubject:
		return a.rev == of.subject, s
	case getSession:
		return a.rev == of.session, s
	case getGrant:
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

// describe lists the calls in the order in which they began.
func describe(calls []porcupine.Operation) string {
	slices.SortFunc(calls, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
	var b strings.Builder
	for _, o := range calls {
		fmt.Fprintf(&b, "\n%d: %d to %d: %+v = %+v", o.ClientId, o.Call, o.Return, o.Input, o.Output)
	}
	return b.String()
}

package server_test

import (
	"errors"
	"reflect"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/store/memory"
)

// Every method that takes an Actor refuses one without the right, whatever else it is given, before it
// does anything. Handlers need not ask: nobody who calls one can forget to.
func TestActorsWithoutTheRight(t *testing.T) {
	db := memory.New()
	t.Cleanup(func() { db.Close() })
	e, err := server.Open(t.Context(), server.Config{Store: db, URL: "http://127.0.0.1:1", SealKey: [32]byte{1}, Offline: true, InsecureHashes: true, Monitor: checks(t, "http://127.0.0.1:1")})
	must(t, err)
	t.Cleanup(func() { e.Close() })
	before, err := e.Issuer().Head(t.Context())
	must(t, err)
	asked := 0
	for _, part := range e.Administered() {
		of := reflect.ValueOf(part)
		for m := range of.Type().Methods() {
			at := -1
			args := make([]reflect.Value, m.Type.NumIn())
			for n := range args {
				args[n] = reflect.Zero(m.Type.In(n))
				if m.Type.In(n) == reflect.TypeFor[rights.Actor]() {
					at = n
				}
			}
			if at < 0 {
				continue
			}
			asked++
			args[0], args[1] = of, reflect.ValueOf(t.Context())
			for name, who := range map[string]rights.Actor{"nobody": {}, "a reader": rights.Of(rights.Read, rights.Audit)} {
				args[at] = reflect.ValueOf(who)
				results := m.Func.Call(args)
				if err, _ := results[len(results)-1].Interface().(error); !errors.Is(err, counterfoil.ErrForbidden) {
					t.Errorf("%v.%s by %s: %v, want ErrForbidden", of.Type(), m.Name, name, err)
				}
			}
		}
	}
	if asked < 25 {
		t.Errorf("%d methods were asked: the search is broken", asked)
	}
	if after, err := e.Issuer().Head(t.Context()); err != nil || after != before {
		t.Errorf("the log is at %v, %v, and was at %v", after, err, before)
	}
}

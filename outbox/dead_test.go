package outbox_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/outbox"
	"github.com/counterfoil/counterfoil/store/storetest"
)

// An outage of the store is one for who lists and changes letters.
func TestOutageOfLists(t *testing.T) {
	for name, s := range stores(t) {
		t.Run(name, func(t *testing.T) {
			failing := storetest.Faulty(s)
			o := open(t, failing)
			for _, op := range []storetest.Op{storetest.OpList, storetest.OpCount, storetest.OpSearch, storetest.OpGet, storetest.OpCommit} {
				failing.Inject(storetest.Fault{Op: op})
			}
			_, _, listed := o.List(t.Context(), outbox.Dead, "", 1)
			_, counted := o.Counts(t.Context())
			for what, err := range map[string]error{
				"List": listed, "Counts": counted,
				"Redeliver": o.Redeliver(t.Context(), strings.Repeat("0", 32), audit.Act{}), "Drop": o.Drop(t.Context(), strings.Repeat("0", 32), audit.Act{}),
			} {
				if !errors.Is(err, counterfoil.ErrUnavailable) {
					t.Errorf("%s = %v, want ErrUnavailable", what, err)
				}
			}
		})
	}
}

package issuer

import (
	"context"

	"github.com/counterfoil/counterfoil/store"
)

// Tally is how many sessions are stored. One that has ended counts until its row is swept.
type Tally struct {
	Sessions int
	More     bool           // there are more than were counted: the numbers are of those
	Carriers map[string]int // by the carrier of the session's own client
	Clients  map[string]int // by the session's own client
}

// Tally counts up to [MaxCount] sessions, and reads that many rows. A caller keeps the answer for
// some seconds.
func (i *Issuer) Tally(ctx context.Context) (Tally, error) {
	t := Tally{Carriers: map[string]int{}, Clients: map[string]int{}}
	for m, err := range i.store.Search(ctx, kindSession, store.Text(allText, "", "|"), store.Position{}) {
		if err != nil {
			return Tally{}, unavailable(err)
		}
		if t.Sessions == MaxCount {
			t.More = true
			break
		}
		if m.Rev == 0 {
			continue
		}
		t.Sessions++
		if row, err := parseRow(m.Record); err == nil {
			t.Carriers[row.Carrier.String()]++
			t.Clients[row.Client]++
		}
	}
	return t, nil
}

package compare

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/internal/faultnet"
)

var networkGroup = group{
	id: "network", rows: []string{"network-*", "network-first-*"}, about: "a network to the state",
	cost: func(b *bench) time.Duration {
		cost := 2 * time.Second
		for _, ms := range b.Delays {
			asking := time.Duration(len(b.Stores)*4+4) * time.Duration(ms) * time.Millisecond
			cost += time.Duration(networkRounds(b)) * networkFresh * (asking + time.Duration(len(b.all))*time.Millisecond)
		}
		return cost
	},
	run: runNetwork,
}

// networkFresh is how many new credentials a round has.
const networkFresh = 2

// networkRounds is at most 7: a delay hides the noise of the machine.
func networkRounds(b *bench) int { return min(b.Rounds, 7) }

func runNetwork(ctx context.Context, b *bench) error {
	if err := b.stage.open(ctx, 0); err != nil {
		return err
	}
	proxy, err := faultnet.Listen(strings.TrimPrefix(b.stage.at.URL, "http://"), b.Seed)
	if err != nil {
		return err
	}
	defer proxy.Close()
	node, err := b.stage.node(ctx, NodePlan{Dial: proxy.Addr()})
	if err != nil {
		return err
	}
	defer node.stop()
	var later, first []Row
	for n, ms := range b.Delays {
		delay := time.Duration(ms) * time.Millisecond
		proxy.Set(faultnet.Fault{Delay: delay / 2}, faultnet.Fault{Delay: delay / 2})
		if err := node.call(ctx, "Node.Impair", Impairment{Delay: delay}, nil); err != nil {
			return err
		}
		firsts, laters := series{}, series{}
		rounds := networkRounds(b)
		for round := range rounds {
			for _, i := range b.random.Perm(len(b.all)) {
				b.tell((float64(n) + float64(round)/float64(rounds)) / float64(len(b.Delays)))
				c := b.all[i]
				one, two, err := b.stage.sights(ctx, node, c, 6_000_000+(n*rounds+round)*networkFresh, networkFresh)
				if err != nil {
					return fmt.Errorf("%s: %w", c.ID, err)
				}
				firsts.add(c.ID, milliseconds(one))
				laters.add(c.ID, milliseconds(two))
			}
		}
		at := float64(ms)
		const how = "the state is a network away: each question of a plain contender to its store takes so much longer, and our nodes reach the auth server over a slow connection. One request after the other, the median of each round"
		later = append(later, Row{ID: "network-" + strconv.Itoa(ms), Group: "network", Series: "network", Title: fmt.Sprintf("A check, with the state %d ms away", ms), Unit: "ms", Better: Less, At: &at, AtUnit: "ms", Cells: laters.cells(b.all), How: how})
		first = append(first, Row{ID: "network-first-" + strconv.Itoa(ms), Group: "network", Series: "network-first", Title: fmt.Sprintf("A first check, with the state %d ms away", ms), Unit: "ms", Better: Less, At: &at, AtUnit: "ms", Cells: firsts.cells(b.all), How: how})
	}
	for _, r := range append(later, first...) {
		b.add(r)
	}
	return nil
}

// sights returns how long a first and a later check take at a node.
func (s *stage) sights(ctx context.Context, node *nodeProcess, c Contender, from, n int) (first, later time.Duration, err error) {
	made, err := s.login(ctx, node, c, from, n, time.Hour)
	if err != nil {
		return 0, 0, err
	}
	v, err := connected(ctx, node)
	if err != nil {
		return 0, 0, err
	}
	defer v.close()
	if first, err = v.checks(ctx, c, made); err != nil {
		return 0, 0, err
	}
	later, err = v.checks(ctx, c, made)
	return first, later, err
}

package compare

import (
	"context"
	"time"
)

var (
	Measured  = measured
	Counted   = counted
	PerCheck  = perCheck
	Quantile  = quantile
	Histogram = histogram
	Bootstrap = bootstrap
)

func (r *Row) RankCells() { r.rank() }

// Statuses asks a node with a new credential of each contender, as change makes it, and returns the
// statuses of the answers. If end is set, the credential is ended first, where a plain contender can.
func Statuses(ctx context.Context, o Options, end bool, change func(field string) string) (map[string]int, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	b := &bench{Options: o, result: &Result{}}
	b.all = contenders([]string{o.Stores[0].Kind})
	b.stage = &stage{b: b, credentials: make(map[string][][]Credential)}
	defer b.stage.close()
	if err := b.stage.open(ctx, 1); err != nil {
		return nil, err
	}
	node, statuses := b.stage.nodes[0], make(map[string]int)
	for _, c := range b.all {
		made, err := b.stage.login(ctx, node, c, 0, 1, time.Hour)
		if err != nil {
			return nil, err
		}
		v := visit(node.address)
		defer v.close()
		ask := func(field string) (err error) {
			statuses[c.ID], _, err = v.ask(ctx, prepared("GET", "/check/"+c.ID, field))
			return err
		}
		if end {
			if err := ask(made[0].Field); err != nil {
				return nil, err
			}
			if c.Family == FamilySession || c.Family == FamilyJWT && c.Store != "" {
				if err := node.call(ctx, "Node.End", EndPlan{c.ID, made[0].ID}, nil); err != nil {
					return nil, err
				}
			}
		}
		if err := ask(change(made[0].Field)); err != nil {
			return nil, err
		}
	}
	return statuses, nil
}

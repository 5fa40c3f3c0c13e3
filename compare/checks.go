package compare

import (
	"context"
	"fmt"
	"slices"
	"time"
)

var bytesGroup = group{
	id: "bytes", rows: []string{"bytes", "credential"}, about: "bytes of a request",
	cost: func(*bench) time.Duration { return time.Second },
	run: func(ctx context.Context, b *bench) error {
		if err := b.stage.open(ctx, 1); err != nil {
			return err
		}
		whole := Row{ID: "bytes", Group: "bytes", Title: "Bytes of a request", Unit: "B", Better: Less, How: "GET with Host, Accept and the credential, counted; the median of 20 callers"}
		alone := Row{ID: "credential", Group: "bytes", Title: "Bytes of the credential", Unit: "B", Better: Less, How: "the value alone, counted; the median of 20 callers"}
		for n, c := range b.all {
			b.tell(float64(n) / float64(len(b.all)))
			if c.ID == noCheck {
				continue
			}
			made, err := b.stage.login(ctx, b.stage.nodes[0], c, 2_000_000, fresh, time.Hour)
			if err != nil {
				return fmt.Errorf("%s: %w", c.ID, err)
			}
			var requests, values []float64
			for _, in := range made {
				requests = append(requests, float64(len(prepared("GET", "/", in.Field))))
				values = append(values, float64(len(credentialOf(in.Field))))
			}
			whole.Cells = append(whole.Cells, counted(c.ID, Median(requests)))
			alone.Cells = append(alone.Cells, counted(c.ID, Median(values)))
		}
		b.add(whole)
		b.add(alone)
		return nil
	},
}

// warming is how long a load runs before it is measured.
const warming = 20 * time.Millisecond

var checksGroup = group{
	id: "checks", rows: []string{"rate-1", "cpu", "allocated", "gc", "reads", "writes"}, about: "checks on one node",
	cost: func(b *bench) time.Duration {
		return time.Duration(b.Rounds*len(b.all))*(b.Measure+warming+10*time.Millisecond) + 3*time.Second
	},
	run: runChecks,
}

func runChecks(ctx context.Context, b *bench) error {
	if err := b.stage.open(ctx, 1); err != nil {
		return err
	}
	loads, closeAll, err := b.stage.loads(ctx, connections, 1)
	if err != nil {
		return err
	}
	defer closeAll()
	node := b.stage.nodes[0]
	found := checked{series{}, series{}, series{}, make(map[string]Usage), make(map[string]Counts), make(map[string]int)}
	err = b.inRounds(ctx, b.Rounds, b.all, func(c Contender, _ int) error {
		if _, _, err := loads[c.ID].closed(ctx, warming); err != nil {
			return err
		}
		before, err := b.stage.look(ctx, c, node)
		if err != nil {
			return err
		}
		n, took, err := loads[c.ID].closed(ctx, b.Measure)
		if err != nil {
			return err
		}
		after, err := b.stage.look(ctx, c, node)
		if err != nil {
			return err
		}
		found.add(c.ID, n, took, after.usage.minus(before.usage), after.counts.minus(before.counts))
		return nil
	})
	if err != nil {
		return err
	}
	b.addChecks(found)
	return nil
}

// checked is what the rounds of checks on one node found, by contender.
type checked struct {
	rate, cpu, allocated series
	collected            map[string]Usage // of the garbage collector alone
	asked                map[string]Counts
	checks               map[string]int
}

// add adds a round of n checks.
func (f *checked) add(contender string, n int, took time.Duration, used Usage, counts Counts) {
	each := float64(n)
	f.rate.add(contender, each/took.Seconds())
	if n > 0 { // none has ended in a round that is too short for one
		f.cpu.add(contender, microseconds(used.CPU)/each)
		f.allocated.add(contender, float64(used.Allocated)/each)
	}
	collected, asked := f.collected[contender], f.asked[contender]
	f.collected[contender] = Usage{GC: collected.GC + used.GC, Cycles: collected.Cycles + used.Cycles}
	f.asked[contender] = Counts{asked.Reads + counts.Reads, asked.Writes + counts.Writes}
	f.checks[contender] += n
}

// addChecks adds the rows of checks on one node.
func (b *bench) addChecks(found checked) {
	how := fmt.Sprintf("GET over %d kept connections, with the credentials of %d callers by turns, as fast as the node answers; every caller was seen before", connections, b.Callers)
	b.add(Row{ID: "rate-1", Group: "checks", Title: "Checks per second, one node", Unit: "/s", Better: More, Cells: found.rate.cells(b.all), How: how + ". The load runs on the same machine."})
	b.add(Row{ID: "cpu", Group: "checks", Title: "Processor time of a check", Unit: "µs", Better: Less, Cells: found.cpu.cells(b.all), How: how + ". Processor time of the node, with net/http; a store in a process of its own is not counted."})
	b.add(Row{ID: "allocated", Group: "checks", Title: "Memory that a check allocates", Unit: "B", Better: Less, Cells: found.allocated.cells(b.all), How: how + ". Bytes for which the garbage collector works, with net/http."})
	gc := Row{ID: "gc", Group: "checks", Title: "Garbage collection of 1000 checks", Unit: "µs", How: how + ". Processor time of Go's collector in the node, as the runtime estimates it, in all rounds together. It is not ranked: the bytes that a check allocates decide it."}
	for _, c := range b.all {
		if found.checks[c.ID] == 0 {
			gc.Cells = append(gc.Cells, inWords(c.ID, notMeasured))
			continue
		}
		cell := counted(c.ID, microseconds(found.collected[c.ID].GC)*1000/float64(found.checks[c.ID]))
		cell.Text = fmt.Sprintf("%d collections in %d checks", found.collected[c.ID].Cycles, found.checks[c.ID])
		gc.Cells = append(gc.Cells, cell)
	}
	b.add(gc)
	reads := Row{ID: "reads", Group: "checks", Title: "Store reads of a check", Unit: "reads", Better: Less, How: "counted at the store, while seen callers are checked. Ours: at the auth server's store, with what the verifier's following reads meanwhile."}
	writes := Row{ID: "writes", Group: "checks", Title: "Store writes of a check", Unit: "writes", Better: Less, How: reads.How}
	for _, c := range b.all {
		if c.ID == noCheck {
			continue
		}
		n := float64(found.checks[c.ID])
		reads.Cells = append(reads.Cells, perCheck(c, found.asked[c.ID].Reads, n))
		writes.Cells = append(writes.Cells, perCheck(c, found.asked[c.ID].Writes, n))
	}
	b.add(reads)
	b.add(writes)
}

// perCheck is a count for each of n checks. Requests that were under way when it was counted make it differ
// from a whole number by less than a thousandth.
func perCheck(c Contender, count int64, n float64) Cell {
	if n == 0 {
		return inWords(c.ID, notMeasured)
	}
	each := float64(int64(float64(count)/n*1000+0.5)) / 1000
	cell := counted(c.ID, each)
	if c.Family == FamilyOurs {
		low := max(each-following, 0)
		cell.Low = &low
	}
	cell.Text = fmt.Sprintf("%d of %.0f", count, n)
	return cell
}

// following is how many of the reads for each check the followers of the log may have caused, when there are
// few checks.
const following = 0.3

// sight is what a node has used, and what a contender's store was asked.
type sight struct {
	usage  Usage
	counts Counts
}

func (s *stage) look(ctx context.Context, c Contender, node *nodeProcess) (found sight, err error) {
	switch {
	case c.Family == FamilyOurs:
		err = s.auth.call(ctx, "Auth.Counts", struct{}{}, &found.counts)
	case c.Store != "":
		err = node.call(ctx, "Node.Counts", c.Store, &found.counts)
	}
	if err == nil {
		err = node.call(ctx, "Node.Usage", false, &found.usage)
	}
	return found, err
}

var nodesGroup = group{
	id: "nodes", rows: []string{"rate-3"}, about: "checks on three nodes",
	cost: func(b *bench) time.Duration {
		return time.Duration(b.Rounds*len(b.all))*(b.Measure+warming) + 4*time.Second
	},
	run: func(ctx context.Context, b *bench) error {
		if err := b.stage.open(ctx, nodes); err != nil {
			return err
		}
		loads, closeAll, err := b.stage.loads(ctx, connections, nodes)
		if err != nil {
			return err
		}
		defer closeAll()
		rate := series{}
		err = b.inRounds(ctx, b.Rounds, b.all, func(c Contender, _ int) error {
			if _, _, err := loads[c.ID].closed(ctx, warming); err != nil {
				return err
			}
			n, took, err := loads[c.ID].closed(ctx, b.Measure)
			if err != nil {
				return err
			}
			rate.add(c.ID, float64(n)/took.Seconds())
			return nil
		})
		if err != nil {
			return err
		}
		row := Row{ID: "rate-3", Group: "nodes", Title: "Checks per second, three nodes", Unit: "/s", Better: More, Cells: rate.cells(b.all), How: "the same load over three processes, all nodes together"}
		row.Notes = append(row.Notes,
			fmt.Sprintf("Three nodes, the load and the auth server share the %d processors of this machine.", b.result.Machine.CPUs),
			"Sessions in memory are known to one node alone: each caller must come back to its node.")
		b.add(row)
		return nil
	},
}

// openConnections are those of the load of the rows of latency.
const openConnections = 64

var latencyGroup = group{
	id: "latency", rows: []string{"latency-p50", "latency-p99", "latency-p999"}, about: "latency under a steady load",
	cost: func(b *bench) time.Duration {
		return time.Duration(b.Rounds*len(b.all))*(2*b.Measure) + 3*time.Second
	},
	run: runLatency,
}

func runLatency(ctx context.Context, b *bench) error {
	if err := b.stage.open(ctx, 1); err != nil {
		return err
	}
	loads, closeAll, err := b.stage.loads(ctx, openConnections, 1)
	if err != nil {
		return err
	}
	defer closeAll()
	p50, p99 := series{}, series{}
	all := make(map[string][][]time.Duration)
	err = b.inRounds(ctx, b.Rounds, b.all, func(c Contender, _ int) error {
		took, err := loads[c.ID].opened(ctx, b.Rate, 2*b.Measure, b.random)
		if err != nil {
			return err
		}
		p50.add(c.ID, microseconds(quantile(took, 0.50)))
		p99.add(c.ID, microseconds(quantile(took, 0.99)))
		all[c.ID] = append(all[c.ID], took)
		return nil
	})
	if err != nil {
		return err
	}
	how := fmt.Sprintf("open loop: %.0f requests per second on one node, at random times, whether answers have come or not; measured from the time at which each was to be sent", b.Rate)
	row := func(id, title string, cells []Cell) Row {
		return Row{ID: id, Group: "latency", Title: title, Unit: "µs", Better: Less, How: how, Cells: cells}
	}
	middle := row("latency-p50", "Latency, half are faster", p50.cells(b.all))
	for n := range middle.Cells {
		middle.Cells[n].Histogram = histogram(slices.Concat(all[middle.Cells[n].Contender]...))
	}
	b.add(middle)
	b.add(row("latency-p99", "Latency, 99 of 100 are faster", p99.cells(b.all)))
	b.add(b.tailRow(row("latency-p999", "Latency, 999 of 1000 are faster", nil), all))
	return nil
}

// tailRow has the quantile of all rounds together: one round has too few requests.
func (b *bench) tailRow(row Row, all map[string][][]time.Duration) Row {
	row.How += ". All rounds together; the interval (95 %) is by bootstrap over the rounds, since requests that wait for the same thing are not independent."
	for _, c := range b.all {
		value, low, high := bootstrap(all[c.ID], 0.999, b.random)
		v, l, h := microseconds(value), microseconds(low), microseconds(high)
		cell := Cell{Contender: c.ID, Value: &v, Low: &l, High: &h, Confidence: confidence}
		if b.Rounds < 6 { // as few give no interval of a median either
			cell.Confidence = 0
		}
		row.Cells = append(row.Cells, cell)
	}
	return row
}

// fresh is how many new credentials a round of the first checks has.
const fresh = 20

var firstGroup = group{
	id: "first", rows: []string{"first", "later", "reads-first"}, about: "first and later checks",
	cost: func(b *bench) time.Duration {
		return time.Duration(b.Rounds*len(b.all)) * fresh * 2 * time.Millisecond
	},
	run: runFirst,
}

func runFirst(ctx context.Context, b *bench) error {
	if err := b.stage.open(ctx, 1); err != nil {
		return err
	}
	node := b.stage.nodes[0]
	first, later := series{}, series{}
	asked := make(map[string]int64)
	err := b.inRounds(ctx, b.Rounds, b.all, func(c Contender, round int) error {
		made, err := b.stage.login(ctx, node, c, 1_000_000+round*fresh, fresh, time.Hour)
		if err != nil {
			return err
		}
		v, err := connected(ctx, node)
		if err != nil {
			return err
		}
		defer v.close()
		before, err := b.stage.look(ctx, c, node)
		if err != nil {
			return err
		}
		one, err := v.checks(ctx, c, made)
		if err != nil {
			return err
		}
		after, err := b.stage.look(ctx, c, node)
		if err != nil {
			return err
		}
		two, err := v.checks(ctx, c, made)
		if err != nil {
			return err
		}
		asked[c.ID] += after.counts.minus(before.counts).Reads
		first.add(c.ID, microseconds(one))
		later.add(c.ID, microseconds(two))
		return nil
	})
	if err != nil {
		return err
	}
	const how = "one connection, one request after the other, 20 new credentials in each round; the median of each round"
	b.add(Row{ID: "first", Group: "first", Title: "First check of a credential", Unit: "µs", Better: Less, Cells: first.cells(b.all), How: how + ". With the way over loopback."})
	b.add(Row{ID: "later", Group: "first", Title: "Later check of a credential", Unit: "µs", Better: Less, Cells: later.cells(b.all), How: how + ". With the way over loopback."})
	reads := Row{ID: "reads-first", Group: "first", Title: "Store reads of a first check", Unit: "reads", Better: Less, How: "counted at the store; ours at the auth server's store, with what the verifier's following reads meanwhile"}
	for _, c := range b.all {
		if c.ID != noCheck {
			reads.Cells = append(reads.Cells, perCheck(c, asked[c.ID], float64(fresh*len(first[c.ID]))))
		}
	}
	b.add(reads)
	return nil
}

// connected is a visitor whose connection is open.
func connected(ctx context.Context, node *nodeProcess) (*visitor, error) {
	v := visit(node.address)
	if _, _, err := v.ask(ctx, prepared("GET", "/check/"+noCheck, "Accept-Language: en")); err != nil {
		return nil, err
	}
	return v, nil
}

// checks sends a request with each credential, one after the other, and returns the median of their times.
func (v *visitor) checks(ctx context.Context, c Contender, all []Credential) (time.Duration, error) {
	var took []time.Duration
	for _, in := range all {
		r := prepared("GET", "/check/"+c.ID, in.Field)
		sent := time.Now()
		status, _, err := v.ask(ctx, r)
		if err := wanted(status, err); err != nil {
			return 0, err
		}
		took = append(took, time.Since(sent))
	}
	return quantile(sorted(took), 0.5), nil
}

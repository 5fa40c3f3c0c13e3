package compare

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"
)

var memoryGroup = group{
	id: "memory", rows: []string{"memory-*"}, about: "memory of signed-in users",
	cost: func(b *bench) time.Duration {
		cost := 2 * time.Second
		for _, users := range b.Users {
			cost += time.Duration(users)*time.Duration(len(b.all))*90*time.Microsecond + 3*time.Second
		}
		return cost
	},
	run: runMemory,
}

// stateless is how many users of a contender without state are measured: it keeps nothing of any.
const stateless = 1000

func runMemory(ctx context.Context, b *bench) error {
	if err := b.stage.open(ctx, 0); err != nil { // makes the keys
		return err
	}
	var all []Contender
	for _, c := range b.all {
		if c.ID != noCheck {
			all = append(all, c)
		}
	}
	kept := make(map[string]Cell) // of contenders of whom no more users are measured
	for n, users := range slices.Sorted(slices.Values(b.Users)) {
		at := float64(users)
		row := Row{ID: "memory-" + strconv.Itoa(users), Group: "memory", Series: "memory", Title: fmt.Sprintf("Memory of %s users", Number(at)), Unit: "kB", Better: Less, At: &at, AtUnit: "users",
			How: "each user signs in and sends one request; Go's heap after a collection, less what it was before, of the node and of the auth server. Our auth server has its store in memory here. A database of its own is not counted"}
		for i, c := range all {
			b.tell((float64(n) + float64(i)/float64(len(all))) / float64(len(b.Users)))
			cell, measured := kept[c.ID]
			if !measured {
				var err error
				if cell, err = b.stage.memory(ctx, c, users); err != nil {
					return fmt.Errorf("%s: %w", c.ID, err)
				}
			}
			if c.stateless() && users >= stateless {
				kept[c.ID] = cell
			}
			row.Cells = append(row.Cells, cell)
		}
		row.Notes = append(row.Notes, "A JWT that is verified each time, and a session in a database, leave nothing in the process: 1,000 users are measured at most. Our verifier remembers 100,000 copies at most, by its default.",
			"Each number was measured once. Two that differ by less than a tenth, or by less than 100 kB, are not ranked.")
		b.add(row)
	}
	b.perUser()
	return nil
}

// stateless reports whether a contender keeps nothing of a user in its process.
func (c Contender) stateless() bool { return c.Family == FamilyJWT || c.Store != "" }

// memory measures users of a contender in processes of their own.
func (s *stage) memory(ctx context.Context, c Contender, users int) (Cell, error) {
	if c.stateless() {
		users = min(users, stateless)
	}
	own := &stage{b: s.b, keys: s.keys}
	auth, at, err := startAuth(ctx, s.b.Child, "memory:")
	if err != nil {
		return Cell{}, err
	}
	own.auth, own.at = auth, at
	defer own.close()
	node, err := own.node(ctx, NodePlan{})
	if err != nil {
		return Cell{}, err
	}
	own.nodes = append(own.nodes, node)
	heaps := func() (inNode, inAuth uint64, err error) {
		var n, a Usage
		if err = node.call(ctx, "Node.Usage", true, &n); err == nil {
			err = auth.call(ctx, "Auth.Usage", true, &a)
		}
		return n.Heap, a.Heap, err
	}
	// Once before, so that what is made at first use is not counted.
	if err := own.signIn(ctx, node, c, 3_000_000, 2*batch); err != nil {
		return Cell{}, err
	}
	node0, auth0, err := heaps()
	if err != nil {
		return Cell{}, err
	}
	if err := own.signIn(ctx, node, c, 0, users); err != nil {
		return Cell{}, err
	}
	node1, auth1, err := heaps()
	if err != nil {
		return Cell{}, err
	}
	inNode, inAuth := more(node1, node0), 0.0
	if c.Family == FamilyOurs {
		inAuth = more(auth1, auth0)
	}
	v := inNode + inAuth
	low, high := max(v*0.95-noise, 0), v*1.05+noise
	cell := Cell{Contender: c.ID, Value: &v, Low: &low, High: &high, Counted: true}
	if c.Family == FamilyOurs {
		cell.Text = fmt.Sprintf("node %s, auth server %s", Number(inNode), Number(inAuth))
	}
	return cell, nil
}

// noise is how many kilobytes a heap may differ by itself between two collections.
const noise = 50

// more is how many kilobytes after is above before.
func more(after, before uint64) float64 {
	if after <= before {
		return 0
	}
	return float64((after - before) / 1000)
}

// batch is how many users are signed in by one question to a child. The buffers of the answers are in its
// heap, and do not grow any more after the first one.
const batch = 200

// signIn signs users in, and sends one request of each.
func (s *stage) signIn(ctx context.Context, node *nodeProcess, c Contender, from, users int) error {
	for done := 0; done < users; done += batch {
		n := min(batch, users-done)
		made, err := s.login(ctx, node, c, from+done, n, time.Hour)
		if err != nil {
			return err
		}
		requests := make([][]byte, n)
		for i, in := range made {
			requests[i] = prepared("GET", "/check/"+c.ID, in.Field)
		}
		if err := askAll(ctx, node.address, requests); err != nil {
			return err
		}
	}
	return nil
}

// askAll sends each request once, over a few connections.
func askAll(ctx context.Context, address string, requests [][]byte) error {
	const parts = 4
	split := make([][][]byte, parts)
	addresses := make([]string, parts)
	for i, r := range requests {
		split[i%parts] = append(split[i%parts], r)
	}
	for i := range addresses {
		addresses[i] = address
	}
	l, err := newLoad(ctx, parts, addresses, split)
	if err != nil {
		return err
	}
	defer l.close()
	return l.warm(ctx)
}

// perUser adds the slope between the smallest and the largest number of users, and says what it means for a million.
func (b *bench) perUser() {
	sizes := slices.Sorted(slices.Values(b.Users))
	if len(sizes) < 2 {
		return
	}
	few, many := b.result.Row("memory-"+strconv.Itoa(sizes[0])), b.result.Row("memory-"+strconv.Itoa(sizes[len(sizes)-1]))
	users := *many.At - *few.At
	row := Row{ID: "memory-user", Group: "memory", Title: "Memory of one more user", Unit: "B", Better: Less,
		How: fmt.Sprintf("calculated: the difference between %s and %s users, by user", Number(*few.At), Number(*many.At))}
	for _, c := range many.Cells {
		start := few.Cell(c.Contender)
		if b.result.Contender(c.Contender).stateless() {
			row.Cells = append(row.Cells, inWords(c.Contender, "nothing"))
			continue
		}
		slope := func(to, from float64) float64 { return max(float64(int64((to-from)*1000/users)), 0) }
		v, low, high := slope(*c.Value, *start.Value), slope(*c.Low, *start.High), slope(*c.High, *start.Low)
		row.Cells = append(row.Cells, Cell{Contender: c.Contender, Value: &v, Low: &low, High: &high, Counted: true,
			Text: fmt.Sprintf("a million users: about %s MB, calculated", Number(float64(int64(v))))})
	}
	b.add(row)
}

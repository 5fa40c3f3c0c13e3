package issuer_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/store/storetest"
)

// phones makes n sessions of n/3 users on phones, and one on a laptop. It returns copies of all,
// that of the laptop last.
func (b *bench) phones(t *testing.T, n int) (copies []string) {
	t.Helper()
	for k := range n + 1 {
		r := issuer.Request{Carrier: counterfoil.CarrierBearer, UserAgent: "Phone"}
		if k == n {
			r.UserAgent = "Laptop"
		}
		got, err := b.Login(t.Context(), b.proof(t, fmt.Sprintf("user%d", k/3)), r)
		if err != nil {
			t.Fatal(err)
		}
		copies = append(copies, got.Access.Reveal())
	}
	return copies
}

func (b *bench) living(t *testing.T, copies []string) (n int) {
	t.Helper()
	for _, c := range copies {
		if _, err := b.Lookup(t.Context(), c); err == nil {
			n++
		} else if !errors.Is(err, counterfoil.ErrInvalidToken) {
			t.Fatal(err)
		}
	}
	return n
}

var phones = issuer.Filter{Device: "phone"}

var root = audit.Act{By: "subject:root", Reason: "a worm"}

func (b *bench) order(t *testing.T) issuer.Job {
	t.Helper()
	plan, err := b.PlanRevocation(t.Context(), rights.Owner(), phones, root.By)
	if err != nil {
		t.Fatal(err)
	}
	job, err := b.RevokeFound(t.Context(), rights.Owner(), phones, plan.Token, 0, root)
	if err != nil {
		t.Fatal(err)
	}
	return job
}

// A revocation by filter ends what its filter is for, and nothing else: neither other sessions nor
// those that begin after it. It is in the audit trail when it is ordered, and when it is done.
func TestRevokeFound(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]store.Store{"memory": memory.New(), "sqlite": openSQLite(t)} {
		b := newIssuer(t, s)
		copies := b.phones(t, 120)
		from, err := b.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		plan, err := b.PlanRevocation(t.Context(), rights.Owner(), phones, root.By)
		if err != nil || plan.Sessions != 120 || plan.More || len(plan.Samples) != 20 {
			t.Fatalf("%s: %d sessions, %t, %v", name, plan.Sessions, plan.More, err)
		}
		job, err := b.RevokeFound(t.Context(), rights.Owner(), phones, plan.Token, 0, root)
		if err != nil || job.Done || b.living(t, copies) != 121 {
			t.Fatalf("%s: %+v, %v", name, job, err)
		}
		b.clock.add(time.Second)
		late := b.phones(t, 2)
		if err := b.WorkJobs(t.Context()); err != nil {
			t.Fatal(err)
		}
		if job, err = b.Job(t.Context(), job.ID); err != nil || !job.Done || job.Ended != 120 || b.living(t, copies) != 1 || b.living(t, late) != 3 {
			t.Errorf("%s: %+v, %v, %d and %d live", name, job, err, b.living(t, copies), b.living(t, late))
		}
		again, err := b.RevokeFound(t.Context(), rights.Owner(), phones, plan.Token, 0, root) // its answer was lost
		if err != nil || again.ID != job.ID || b.living(t, late) != 3 {
			t.Errorf("%s: again: %+v, %v", name, again, err)
		}
		var told []string
		entries, _, err := b.Audit().List(t.Context(), audit.Query{By: root.By})
		for _, e := range entries {
			told = append(told, e.Target+" "+e.Detail)
		}
		want := fmt.Sprintf("filter job=%s ended=120|filter job=%[1]s planned=120 more=false limit=132 device=phone", job.ID)
		if err != nil || strings.Join(told, "|") != want {
			t.Errorf("%s: the trail has %q, %v", name, told, err)
		}
		page, err := b.Log(t.Context(), source.Follow{After: from})
		if err != nil || len(page.Entries) != 120 {
			t.Fatalf("%s: %d entries of the log, %v", name, len(page.Entries), err)
		}
		authors, err := b.Authors(t.Context(), page.Entries)
		for _, e := range authors {
			if e.By != root.By || e.Reason != root.Reason || !strings.HasPrefix(e.Detail, "job="+job.ID+" ") {
				t.Fatalf("%s: an entry of the log is by %+v, %v", name, e, err)
			}
		}
	}
}

// A job that was killed between two batches goes on at another node, and ends exactly the rest. Two
// nodes at once do no harm.
func TestJobGoesOn(t *testing.T) {
	t.Parallel()
	for spared := range 5 { // commits of batches before the kill; the job has three, and one that finds nothing
		for _, lost := range []bool{false, true} {
			db := memory.New()
			faulty := storetest.Faulty(db)
			b := newIssuer(t, faulty)
			copies := b.phones(t, 120)
			job := b.order(t)
			faulty.Inject(storetest.Fault{Op: storetest.OpCommit, Kind: "revocationjob", After: spared, Lost: lost})
			if err := b.WorkJobs(t.Context()); spared < 4 && !errors.Is(err, counterfoil.ErrUnavailable) {
				t.Fatalf("%d: %v", spared, err)
			}
			other := newIssuer(t, db)
			other.clock.add(time.Minute)
			errs := make(chan error)
			for _, node := range []*bench{other, newIssuer(t, db)} {
				node.clock.add(time.Minute)
				go func() { errs <- node.WorkJobs(context.WithoutCancel(t.Context())) }()
			}
			if err := errors.Join(<-errs, <-errs); err != nil {
				t.Fatal(err)
			}
			job, err := other.Job(t.Context(), job.ID)
			if err != nil || !job.Done || job.Ended != 120 || other.living(t, copies) != 1 {
				t.Errorf("killed after %d, lost %t: %+v, %v, %d live", spared, lost, job, err, other.living(t, copies))
			}
		}
	}
}

// A session that is used while its batch is under way ends all the same.
func TestJobAgainstUse(t *testing.T) {
	t.Parallel()
	db := memory.New()
	faulty := storetest.Faulty(db)
	b := newIssuer(t, faulty)
	copies := b.phones(t, 10)
	job := b.order(t)
	other, changed := newIssuer(t, db), 0
	for n := range 3 {
		other.client(t, fmt.Sprint("app", n), clients.Client{})
	}
	faulty.Inject(storetest.Fault{Op: storetest.OpCommit, Kind: "revocationjob", Slow: true, Before: func() {
		if changed == 3 {
			return
		}
		found, err := other.Search(context.Background(), phones, "", 1)
		if err == nil && len(found.Sessions) == 1 {
			_, err = other.AddGrant(context.Background(), found.Sessions[0].ID, issuer.Request{Client: fmt.Sprint("app", changed)})
			changed++
		}
		if err != nil {
			t.Error(err)
		}
	}})
	if err := b.WorkJobs(t.Context()); err != nil {
		t.Fatal(err)
	}
	if job, err := b.Job(t.Context(), job.ID); err != nil || !job.Done || job.Ended != 10 || changed != 3 || b.living(t, copies) != 1 {
		t.Errorf("%+v, %v, %d live, changed %d times", job, err, b.living(t, copies), changed)
	}
}

// The token of a dry run is good for its filter, its caller and some minutes, and while the set has
// not grown by more than a tenth.
func TestPlanToken(t *testing.T) {
	t.Parallel()
	b := newIssuer(t, memory.New())
	b.phones(t, 20)
	plan, err := b.PlanRevocation(t.Context(), rights.Owner(), phones, root.By)
	if err != nil {
		t.Fatal(err)
	}
	flipped := []byte(plan.Token)
	flipped[8] ^= 1
	refused := func(what string, f issuer.Filter, token string, act audit.Act, want error) {
		t.Helper()
		if _, err := b.RevokeFound(t.Context(), rights.Owner(), f, token, 0, act); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	refused("no token", phones, "", root, issuer.ErrNoPlan)
	refused("a forged one", phones, string(flipped), root, issuer.ErrNoPlan)
	refused("another filter", issuer.Filter{Device: "laptop"}, plan.Token, root, issuer.ErrNoPlan)
	refused("another caller", phones, plan.Token, audit.Act{By: "subject:eve"}, issuer.ErrNoPlan)
	if _, err := b.RevokeFound(t.Context(), rights.Owner(), phones, plan.Token, -1, root); !errors.Is(err, issuer.ErrBadRequest) {
		t.Errorf("at most -1: %v", err)
	}
	if _, err := b.PlanRevocation(t.Context(), rights.Owner(), issuer.Filter{}, root.By); !errors.Is(err, issuer.ErrBadRequest) {
		t.Errorf("an empty filter: %v", err)
	}
	b.clock.add(time.Second)
	b.phones(t, 3) // 23 of 20
	refused("grown", phones, plan.Token, root, issuer.Grown{Planned: 20, Now: 23})
	b.clock.add(11 * time.Minute)
	refused("too late", phones, plan.Token, root, issuer.ErrNoPlan)
	if left, err := b.Search(t.Context(), phones, "", 0); err != nil || len(left.Sessions) != 23 {
		t.Errorf("%d are left, %v", len(left.Sessions), err)
	}
}

// A job never ends more than its plan allows, whatever comes into its filter meanwhile: a tenth more
// than was counted, or else what the caller named. It stops there, and says so; after a kill, too.
func TestJobStops(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what                                        string
		planUpTo, atMost, planned, comes, want, end int
	}{
		{"a tenth more", 1000, 0, 60, 6, 66, 66},
		{"over a tenth more", 1000, 0, 60, 9, 66, 66},
		{"the caller allows less", 1000, 62, 60, 6, 62, 62},
		{"more than was counted", 10, 63, 60, 3, 63, 63},
		{"far more than was counted", 10, 51, 60, 3, 51, 51},
		{"few of what was allowed", 10, 1000, 60, 3, 1000, 63},
	} {
		db := memory.New()
		faulty := storetest.Faulty(db)
		b := newIssuer(t, faulty)
		b.PlanUpTo(c.planUpTo)
		b.client(t, "app", clients.Client{})
		join := func(id string) {
			t.Helper()
			if _, err := b.AddGrant(t.Context(), id, issuer.Request{Client: "app"}); err != nil {
				t.Fatal(err)
			}
		}
		b.phones(t, c.planned+c.comes)
		found, err := b.Search(t.Context(), phones, "", issuer.MaxPage)
		if err != nil || len(found.Sessions) != c.planned+c.comes {
			t.Fatalf("%d sessions, %v", len(found.Sessions), err)
		}
		for _, row := range found.Sessions[:c.planned] {
			join(row.ID)
		}
		f := issuer.Filter{Client: "app"}
		plan, err := b.PlanRevocation(t.Context(), rights.Owner(), f, root.By)
		if err != nil || plan.More != (c.planUpTo < c.planned) {
			t.Fatalf("%s: %+v, %v", c.what, plan, err)
		}
		if plan.More {
			for _, atMost := range []int{-1, 0, c.planUpTo} {
				if _, err := b.RevokeFound(t.Context(), rights.Owner(), f, plan.Token, atMost, root); !errors.Is(err, issuer.ErrBadRequest) {
					t.Errorf("%s: at most %d: %v", c.what, atMost, err)
				}
			}
		}
		job, err := b.RevokeFound(t.Context(), rights.Owner(), f, plan.Token, c.atMost, root)
		if err != nil || job.Limit != c.want {
			t.Fatalf("%s: %+v, %v", c.what, job, err)
		}
		for _, row := range found.Sessions[c.planned:] { // after the order
			join(row.ID)
		}
		faulty.Inject(storetest.Fault{Op: storetest.OpCommit, Kind: "revocationjob", After: 1, Lost: true})
		if err := b.WorkJobs(t.Context()); !errors.Is(err, counterfoil.ErrUnavailable) {
			t.Fatalf("%s: %v", c.what, err)
		}
		other := newIssuer(t, db)
		other.clock.add(time.Minute)
		if err := other.WorkJobs(t.Context()); err != nil {
			t.Fatal(err)
		}
		job, err = other.Job(t.Context(), job.ID)
		left, errLeft := other.Search(t.Context(), f, "", issuer.MaxPage)
		if n := c.planned + c.comes - len(left.Sessions); errors.Join(err, errLeft) != nil || !job.Done || job.Ended != c.end || n != c.end || job.Stopped != (n < c.planned+c.comes) {
			t.Errorf("%s: %+v, %v, %v; %d ended", c.what, job, err, errLeft, n)
		}
		entries, _, err := other.Audit().List(t.Context(), audit.Query{By: root.By})
		want := fmt.Sprintf("job=%s ended=%d", job.ID, c.end)
		if job.Stopped {
			want += " stopped=limit"
		}
		if err != nil || len(entries) != 2 || entries[0].Detail != want {
			t.Errorf("%s: the trail has %+v, %v", c.what, entries, err)
		}
	}
}

// What begins after the order is not counted, and not ended, to the second: a row has its time so.
func TestOrderTime(t *testing.T) {
	t.Parallel()
	db := memory.New()
	faulty := storetest.Faulty(db)
	b := newIssuer(t, faulty)
	copies := b.phones(t, 10)
	plan, err := b.PlanRevocation(t.Context(), rights.Owner(), phones, root.By)
	if err != nil {
		t.Fatal(err)
	}
	late := newIssuer(t, db) // a node that is ahead: what begins there begins later
	late.clock.add(2 * time.Second)
	lateCopies := late.phones(t, 5)
	job, err := b.RevokeFound(t.Context(), rights.Owner(), phones, plan.Token, 0, root)
	if err != nil {
		t.Fatalf("they are counted: %v", err)
	}
	if err := b.WorkJobs(t.Context()); err != nil {
		t.Fatal(err)
	}
	if job, err = b.Job(t.Context(), job.ID); err != nil || job.Ended != 10 || job.Stopped || b.living(t, copies) != 1 || late.living(t, lateCopies) != 6 {
		t.Errorf("%+v, %v: %d and %d live", job, err, b.living(t, copies), late.living(t, lateCopies))
	}
}

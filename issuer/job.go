package issuer

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/revlog"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

const kindJob store.Kind = "revocationjob" // ID: of the job

const (
	jobBatch  = 50                 // sessions that are ended in one commit
	jobEvery  = 5 * time.Second    // so often a node looks for jobs that another one has left
	jobOthers = 10 * time.Second   // a job of another node that has not moved for so long was left
	jobKept   = 7 * 24 * time.Hour // how long a job that is done can be looked at
)

// Job is a revocation of many sessions, in batches. Each batch ends sessions, writes their log
// entries and notes how far the job is, in one commit: so a job that was interrupted goes on where
// it was, on any node, and its number of ended sessions is exact.
type Job struct {
	ID      string `json:"id"`
	Filter  Filter `json:"filter"`
	Planned int    `json:"planned"` // sessions that its plan found
	More    bool   `json:"more,omitempty"`
	Limit   int    `json:"limit"` // no more sessions are ended
	Ended   int    `json:"ended"`
	Done    bool   `json:"done"`              // nothing follows
	Stopped bool   `json:"stopped,omitempty"` // at its limit; others are left

	By      string     `json:"by"`
	Reason  string     `json:"reason,omitempty"`
	Address netip.Addr `json:"address,omitzero"`
	Request string     `json:"request,omitempty"`

	Created time.Time `json:"created"` // sessions that began in a later second are not ended
	Updated time.Time `json:"updated"`

	// After is where the search goes on. A pass that has ended sessions is followed by another:
	// a session that goes on under another id meanwhile may be missed by one.
	After string `json:"after,omitempty"`
	Found bool   `json:"found,omitempty"` // this pass has ended a session
	Node  string `json:"node,omitempty"`  // which works on it

	rev uint64
}

func jobID(token string) string {
	sum := sha256.Sum256([]byte("counterfoil job v1\x00" + token))
	return "rvk_" + base32Lower.EncodeToString(sum[:15])
}

func jobKey(id string) store.Key { return store.Key{Kind: kindJob, ID: id} }

func (j *Job) record() (store.Record, error) {
	value, err := json.Marshal(j)
	rec := store.Record{Key: jobKey(j.ID), Rev: j.rev, Value: value}
	if j.Done {
		rec.Expires = j.Updated.Add(jobKept)
	}
	return rec, err
}

func parseJob(rec store.Record) (Job, error) {
	j := Job{rev: rec.Rev}
	if err := json.Unmarshal(rec.Value, &j); err != nil {
		return j, fmt.Errorf("job %s is %w: %w", rec.ID, errDamaged, err)
	}
	return j, nil
}

// What a job writes names it: byFilter ends the reason of its log entries, after its id, and its audit
// entries have targetFilter and begin with jobDetail. So who reads the log finds who ordered it (Authors).
const (
	byFilter     = " by filter"
	targetFilter = "filter"
)

func jobDetail(id string) string { return "job=" + id + " " }

// jobOf returns the id of the job that an audit entry is about, if it is about one.
func jobOf(e *audit.Entry) (id string, is bool) {
	id, is = strings.CutPrefix(e.Detail, "job=")
	id, _, _ = strings.Cut(id, " ")
	return id, is && e.Target == targetFilter
}

// entry is an audit entry about the job.
func (j *Job) entry(detail string) audit.Entry {
	ordered := audit.Act{By: j.By, Address: j.Address, Request: j.Request, Reason: j.Reason}
	e := ordered.Entry(audit.Revoke, j.Filter.Subject)
	e.Client, e.Target, e.Detail = j.Filter.Client, targetFilter, jobDetail(j.ID)+detail
	return e
}

// Job returns a job, or store.ErrNotFound.
func (i *Issuer) Job(ctx context.Context, id string) (Job, error) {
	if !strings.HasPrefix(id, "rvk_") {
		return Job{}, store.ErrNotFound
	}
	rec, err := store.One(ctx, i.store, jobKey(id))
	if err != nil {
		return Job{}, unavailable(err)
	}
	return parseJob(rec)
}

// beginJob writes a job, with the audit entry that says who ordered it.
func (i *Issuer) beginJob(ctx context.Context, j Job, act audit.Act) (Job, error) {
	j.By, j.Reason, j.Address, j.Request = act.By, act.Reason, act.Address, act.Request
	j.Updated, j.Node = i.opts.Now().UTC(), i.node
	rec, err := j.record()
	if err != nil {
		return Job{}, err
	}
	note := j.entry(fmt.Sprintf("planned=%d more=%t limit=%d %s", j.Planned, j.More, j.Limit, j.Filter.words()))
	if _, err = i.audit.Commit(ctx, i.store, store.Batch{Put: []store.Record{rec}}, note); errors.Is(err, store.ErrConflict) {
		return i.Job(ctx, j.ID) // the same call, at the same time
	}
	if err != nil {
		return Job{}, unavailable(err)
	}
	select {
	case i.jobs <- struct{}{}:
	default:
	}
	return j, nil
}

// words says what f is for, besides a subject and a client.
func (f Filter) words() string {
	var words []string
	add := func(name, value string) {
		if value != "" {
			words = append(words, name+"="+value)
		}
	}
	if f.Carrier != (counterfoil.Carrier{}) {
		add("carrier", f.Carrier.String())
	}
	if f.Address.IsValid() {
		add("from", f.Address.String())
	}
	if !f.Since.IsZero() {
		add("since", f.Since.UTC().Format(time.RFC3339))
	}
	add("acr", f.ACR)
	add("device", f.Device)
	return strings.Join(words, " ")
}

// RunJobs works on jobs until ctx ends: on those that begin here at once, and on those that other
// nodes have left, or that an earlier process has.
func (i *Issuer) RunJobs(ctx context.Context) {
	ticker := time.NewTicker(jobEvery)
	defer ticker.Stop()
	for {
		_ = i.WorkJobs(ctx) // an outage: in a moment again
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-i.jobs:
		}
	}
}

// WorkJobs works on all jobs that no other node works on, a batch of each in turn, until they are
// done.
func (i *Issuer) WorkJobs(ctx context.Context) error {
	size := map[string]int{}
	for {
		var open []Job
		for rec, err := range i.store.List(ctx, kindJob, "*", "") {
			if err != nil {
				return unavailable(err)
			}
			j, err := parseJob(rec)
			if err != nil || j.Done {
				continue
			}
			if idle := i.opts.Now().Sub(j.Updated); j.Node == i.node || idle > jobOthers || idle < -jobOthers {
				open = append(open, j)
			}
		}
		if len(open) == 0 {
			return nil
		}
		for _, j := range open {
			if size[j.ID] == 0 {
				size[j.ID] = jobBatch
			}
			err := i.work(ctx, &j, size[j.ID])
			if errors.Is(err, store.ErrConflict) { // a session of the batch was used meanwhile, or another node has the job
				size[j.ID] = max(1, size[j.ID]/2)
			} else if err != nil {
				return err
			} else {
				size[j.ID] = min(jobBatch, 2*size[j.ID])
			}
		}
	}
}

// work ends one batch of the sessions of j.
func (i *Issuer) work(ctx context.Context, j *Job, size int) error {
	found, err := i.search(ctx, j.Filter, j.After, size, walkLooks)
	if err != nil {
		return err
	}
	b, n, stopped, err := i.ends(ctx, j, found.Sessions)
	if err != nil {
		return err
	}
	j.Node, j.Updated, j.Ended, j.Found, j.After = i.node, i.opts.Now().UTC(), j.Ended+n, j.Found || n > 0, found.Next
	var notes []audit.Entry
	if stopped {
		j.Done, j.Stopped = true, true
		notes = append(notes, j.entry(fmt.Sprintf("ended=%d stopped=limit", j.Ended)))
	} else if found.Next == "" && !j.Found {
		j.Done = true
		notes = append(notes, j.entry(fmt.Sprintf("ended=%d", j.Ended)))
	} else if found.Next == "" {
		j.Found = false
	}
	if err := put(&b, j); err != nil {
		return err
	}
	_, err = i.log.Commit(ctx, b, notes...)
	return unavailable(err)
}

// ends returns the end of those of found that j is still for, and how many they are. It has stopped if
// there is one more than j may end. It reads them again: a list does not show all that a row has.
func (i *Issuer) ends(ctx context.Context, j *Job, found []SessionRow) (b store.Batch, n int, stopped bool, err error) {
	if len(found) == 0 {
		return b, 0, false, nil
	}
	keys := make([]store.Key, len(found))
	for n, row := range found {
		keys[n] = sessionKey(row.ID)
	}
	recs, err := i.store.Get(ctx, keys...)
	if err != nil {
		return b, 0, false, unavailable(err)
	}
	for _, rec := range recs {
		if rec.Rev == 0 {
			continue
		}
		row, err := parseRow(rec)
		damaged := errors.Is(err, errDamaged)
		switch {
		case err != nil && !damaged:
			return b, 0, false, err
		case !damaged && (!j.Filter.holds(row) || row.Created.After(j.Created)):
			continue
		case j.Ended+n >= j.Limit:
			return b, n, true, nil
		case damaged:
			endDamaged(&b, rec)
		default:
			row.end(&b)
		}
		n++
		b.Revoke = append(b.Revoke, revlog.Entry(source.ScopeSession, rec.ID, clip(j.ID+byFilter, maxReason)))
	}
	return b, n, false, nil
}

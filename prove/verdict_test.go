package prove

import (
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
)

// judge finds exactly the violations of histories written by hand, to the nanosecond.
func TestJudge(t *testing.T) {
	const d = 2 * time.Second
	limit := d + 2*time.Millisecond
	ms := time.Millisecond
	c := &credential{carrier: counterfoil.CarrierBearer, sid: "ses_1", subject: "alice", client: "web", token: "tok_1", epoch: 1, seq: 5, issued: span{10 * ms, 20 * ms}}
	revoked := func(scope, id string, start, end time.Duration, seq uint64) *revocation {
		return &revocation{span: span{start, end}, scope: scope, id: id, acked: true, epoch: 1, seq: seq}
	}
	at := func(verifier int, start time.Duration, o outcome) check {
		return check{span: span{start, start + ms}, verifier: verifier, of: c, outcome: o}
	}
	session := revoked("session", "ses_1", 100*ms, 110*ms, 9)
	others := func(spared string) *revocation {
		r := revoked("others", "alice", 100*ms, 110*ms, 9)
		r.spared = spared
		return r
	}
	for _, k := range []struct {
		name        string
		revocations []*revocation
		checks      []check
		heals       []heal
		want        string
	}{
		{"accepted at the bound", []*revocation{session}, []check{at(0, 110*ms+limit, accepted)}, nil, ""},
		{"accepted after the bound", []*revocation{session}, []check{at(0, 110*ms+limit+1, accepted)}, nil, "P1"},
		{"revoked with an unknown outcome", []*revocation{{span: span{100 * ms, 1 << 62}, scope: "session", id: "ses_1"}}, []check{at(0, time.Hour, accepted)}, nil, ""},
		{"refused while the revocation runs", []*revocation{session}, []check{at(0, 100*ms, refused)}, nil, ""},
		{"refused before the revocation began", []*revocation{session}, []check{at(0, 98*ms, refused)}, nil, "P2"},
		{"refused without a revocation", nil, []check{at(0, 98*ms, refused)}, nil, "P2"},
		{"refused after another subject was revoked", []*revocation{revoked("subject", "bob", 30*ms, 40*ms, 9)}, []check{at(0, 98*ms, refused)}, nil, "P2"},
		{"stale is no verdict", []*revocation{session}, []check{at(0, time.Hour, unknown)}, nil, ""},
		{"born after the cutoff", []*revocation{revoked("subject", "alice", ms, 9*ms, 4)}, []check{at(0, 98*ms, refused)}, nil, "P2"},
		{"spared, and refused", []*revocation{others("ses_1")}, []check{at(0, 200*ms, refused)}, nil, "P2"},
		{"one of the others, accepted after the bound", []*revocation{others("ses_2")}, []check{at(0, 110*ms+limit+1, accepted)}, nil, "P1"},
		{"concurrent, and before the entry in the log", []*revocation{revoked("subject", "alice", ms, 15*ms, 6)}, []check{at(0, time.Hour, accepted)}, nil, "P1"},
		{"concurrent, and after the entry in the log", []*revocation{revoked("subject", "alice", ms, 15*ms, 5)}, []check{at(0, time.Hour, refused)}, nil, "P2"},
		{"refused, then accepted by another verifier", []*revocation{session}, []check{at(0, 200*ms, refused), at(1, 300*ms, accepted)}, nil, ""},
		{"refused, then accepted", []*revocation{session}, []check{at(0, 200*ms, refused), at(0, 201*ms, accepted)}, nil, "P3"},
		{"concurrently accepted and refused", []*revocation{session}, []check{at(0, 200*ms, refused), at(0, 201*ms-1, accepted)}, nil, ""},
		{"wait=all, then accepted", []*revocation{{span: session.span, scope: "session", id: "ses_1", acked: true, everywhere: true}}, []check{at(0, 110*ms+1, accepted)}, nil, "P1"},
		{"accepted again in time", nil, []check{at(0, 1100*ms, accepted)}, []heal{{0, 101 * ms, time.Minute}}, ""},
		{"accepted again too late", nil, []check{at(0, 1101*ms, accepted)}, []heal{{0, 101 * ms, time.Minute}}, "P4"},
		{"never accepted again", nil, []check{at(1, 200*ms, accepted)}, []heal{{0, 101 * ms, time.Minute}}, "P4"},
	} {
		h := &history{checks: k.checks, revocations: k.revocations, heals: k.heals}
		got := strings.Join(judge(h, limits{bound: d, heal: time.Second}).Violations, "; ")
		if !strings.HasPrefix(got, k.want) || (k.want == "") != (got == "") {
			t.Errorf("%s: found %q, want %q", k.name, got, k.want)
		}
	}
}

package counterfoil

import (
	"time"

	"github.com/counterfoil/counterfoil/internal/clock"
)

// issuerTime is what is known of the issuer's time at one moment. It never changes, and goes
// on by the time that has elapsed since. Nobody who sets the verifier's wall clock changes
// anything about it.
//
// While all pages agree, earliest, said and latest are the same. Pages that contradict each
// other, or time that has elapsed, show that a clock is or was wrong, and not which page was
// right. Then the time is somewhere between earliest and latest: a copy is good that has not
// ended at latest, a copy has expired that had ended at earliest, and about others the answer
// is errDoubt.
type issuerTime struct {
	at                     time.Duration // Elapsed of the verifier's clock
	earliest, said, latest int64         // nanoseconds since 1970
	told                   bool          // by a page; else by the verifier's wall clock at its start
}

// rateShift says by what part elapsed time is shortened here: 1/512, since the rates of two
// clocks differ by no more than two thousandths (ρ of each, docs/revocation.md 4.1). So the time
// of a page and what has elapsed since is not ahead of the issuer, however long there is no
// other page.
const rateShift = 9

func (t *issuerTime) since(at *clock.Instant) int64 {
	d := int64(at.Elapsed - t.at)
	if t.told {
		d -= d >> rateShift
	}
	return d
}

func (t *issuerTime) earliestAt(at *clock.Instant) int64 { return t.earliest + t.since(at) }
func (t *issuerTime) latestAt(at *clock.Instant) int64   { return t.latest + t.since(at) }

// doubt is how much of the time pages contradict each other about.
func (t *issuerTime) doubt() time.Duration { return time.Duration(t.latest - t.earliest) }

// on returns t at another moment.
func (t issuerTime) on(at *clock.Instant) issuerTime {
	d := t.since(at)
	t.at, t.earliest, t.said, t.latest = at.Elapsed, t.earliest+d, t.said+d, t.latest+d
	return t
}

// timekeeper makes issuerTime of what pages say. It is the follower's own.
//
// A time that pages say from some moment on is believed as follows.
//
//   - If it is behind, never at once as the latest: copies would come back to life whose entries
//     the verifier has dropped. See follower.setBack.
//   - If it is ahead by more than forward, not at once as the earliest: copies would be called
//     expired that are good by the time of before. After ahead, every one of those has ended
//     whichever time was right.
//     It may come up earlier if that is a time that was certain before.
//   - The wall clock of the verifier is a witness for a time that may come up, where there is no
//     better one. No copy is good because of it.
type timekeeper struct {
	clock   *clock.Clock
	forward time.Duration // Leeway: for a step that is no longer, no copy is refused before its exp
	back    time.Duration // how long pages agree until latest comes down
	ahead   time.Duration // how long pages agree until earliest comes up

	agreed  time.Duration // Elapsed when the first page was answered of those that agree since
	certain issuerTime    // the last without doubt that a page told
	former  issuerTime    // likewise, before pages contradicted it for so long that it was given up
}

// pageTolerance is by how much pages may contradict each other about the time, beyond what a
// page may have lain somewhere. Nodes with clocks of their own differ by that much unnoticed.
const pageTolerance = 2 * time.Second

// start is the time before there is a page.
func (k *timekeeper) start() issuerTime {
	at := k.clock.Read()
	return issuerTime{at.Elapsed, at.Unix(), at.Unix(), at.Unix(), false}
}

// hear returns t after a page that says told, between asked and answered.
func (k *timekeeper) hear(t issuerTime, told time.Time, asked, answered *clock.Instant) issuerTime {
	said, wall := told.UnixNano(), answered.Unix()
	lain := answered.Elapsed - asked.Elapsed
	t, certain, former := t.on(answered), k.certain.on(answered), k.former.on(answered)
	if !t.told {
		t = issuerTime{answered.Elapsed, min(said, wall), said, said, true}
		k.agreed, former = answered.Elapsed, issuerTime{answered.Elapsed, wall, wall, wall, true}
		k.former = former
	}
	if !k.agrees(said, t.said, lain) {
		t.said = said
		k.agreed = answered.Elapsed
	}
	t.said = max(t.said, said)
	t.earliest, t.latest = min(t.earliest, t.said), max(t.latest, t.said)

	agreed := answered.Elapsed - k.agreed
	was := func(before issuerTime) bool { return before.told && k.agrees(t.said, before.said, lain) }
	witness := time.Duration(wall-t.said).Abs() <= k.forward
	switch {
	case t.said-t.earliest <= int64(k.forward),
		agreed >= k.ahead,
		agreed >= k.back && was(certain),
		agreed >= k.back && was(former) && witness,
		!k.certain.told && witness,
		!k.clock.SeesSleep() && witness: // the wall clock shows how long the machine slept
		t.earliest = t.said
	}
	if t.doubt() == 0 {
		if certain.told && !was(certain) {
			k.former = certain
		}
		k.certain = t
	}
	return t
}

// agrees reports whether a page, which may have lain somewhere, says the time that is known.
func (k *timekeeper) agrees(said, known int64, lain time.Duration) bool {
	return said+int64(lain+pageTolerance) >= known && said <= known+int64(k.forward)
}

// settled reports whether latest may come down to what pages say.
func (k *timekeeper) settled(t *issuerTime, at *clock.Instant) bool {
	return t.said < t.latest && at.Elapsed-k.agreed >= k.back
}

package throttle

import (
	"time"

	"github.com/counterfoil/counterfoil/internal/limit"
)

// perAddress is the rate of one address, or of one /64 of IPv6. All devices that signed one
// account in before have the same together.
var perAddress = limit.Rate{Burst: 20, Interval: 3 * time.Second}

// Messages have rates of their own, which are slower: each goes to somebody who did not ask. Those of a
// subscriber, and those of a network.
var (
	perSender        = limit.Rate{Burst: 10, Interval: 2 * time.Minute}
	perSenderNetwork = limit.Rate{Burst: 50, Interval: 20 * time.Second}
)

// reserve is the part of all attempts that is kept for known devices: one in so many.
const reserve = 4

// leastOfNetwork is the burst that one network has at least: somebody may mistype five times.
const leastOfNetwork = freeFailures

// rates are the limits beside those of an account. Each is kept in the store, and once more in
// this node alone, in front of the store: a flood of attempts does not become a flood of
// reads and commits.
type rates struct {
	address limited // of one subscriber
	network limited // of all subscribers of one /48 of IPv6
	inAll   limited // of everybody
	devices limited // of the known devices of one account
	kept    limited // of all known devices

	sender        limited // of one subscriber, for messages
	senderNetwork limited // of one network, for messages
}

// limited is a rate of many, each with a bucket of its own.
type limited struct {
	rate  limit.Rate
	local *limit.Limiter
}

func newRates(perSecond int) rates {
	of := func(r limit.Rate, keys int) limited { return limited{r, limit.New(r.Burst, r.Interval, keys)} }
	inOne := func(n int) limit.Rate { return limit.Rate{Burst: n, Interval: time.Second / time.Duration(n)} }
	kept := max(perSecond/reserve, 1)
	others := max(perSecond-kept, 1)
	return rates{
		address: of(perAddress, 100_000),
		// Who has one network, of 65,536 subscribers, gets half of what strangers have.
		network: of(limit.Rate{Burst: max(others/2, leastOfNetwork), Interval: time.Second / time.Duration(max(others/2, 1))}, 100_000),
		inAll:   of(inOne(others), 1),
		devices: of(perAddress, 100_000),
		kept:    of(inOne(kept), 1),

		sender:        of(perSender, 100_000),
		senderNetwork: of(perSenderNetwork, 100_000),
	}
}

// one is a bucket that an attempt is counted in.
type one struct {
	limited
	id   string // in the store
	here string // on this node
}

// share is a set of buckets: an attempt is counted in all of them.
type share []one

// shares returns the sets that g may be counted in, the first that has room. Strangers have
// what is not kept for known devices, and those have that, too. device is the counter of a
// known device; empty: it is none.
func (t *Throttle) shares(g Guess, device string) []share {
	if g.Local {
		return nil
	}
	bucket := func(l limited, what, of string) one { id := t.id(what, of); return one{l, id, id} }
	inAll := bucket(t.rates.inAll, "all", "")
	if device != "" {
		// Not the address: strangers may have it, too. A stolen credential is limited by its
		// failures, and who has an account of his own by this. On the node each device counts
		// alone: what the store refuses, such as a stolen credential with many failures, is
		// counted here all the same, and must not use up what the owner's devices have.
		whose := g.Account
		if whose == "" {
			whose = device
		}
		mine := bucket(t.rates.devices, "devices", whose)
		mine.here = device
		return []share{{mine, bucket(t.rates.kept, "kept", "")}, {mine, inAll}}
	}
	subscriber, network := limit.Subscriber(g.Address).String(), limit.Network(g.Address)
	strangers := share{bucket(t.rates.address, "address", subscriber)}
	if g.Sends {
		strangers = append(strangers, bucket(t.rates.sender, "sender", subscriber))
	}
	if network.IsValid() {
		strangers = append(strangers, bucket(t.rates.network, "network", network.String()))
		if g.Sends {
			strangers = append(strangers, bucket(t.rates.senderNetwork, "sender-network", network.String()))
		}
	}
	return []share{append(strangers, inAll)}
}

// take counts an attempt in the first of shares that has room, or says how long to wait. All
// buckets of a share are asked before one changes.
func take(shares []share, now time.Time, of tallies) (taken share, wait time.Duration) {
	for _, s := range shares {
		after := make([]limit.Bucket, len(s))
		var refused time.Duration
		for n, r := range s {
			if after[n], refused = r.rate.Take(of.get(r.id).bucket(), now); refused > 0 {
				break
			}
		}
		if refused > 0 {
			wait = sooner(wait, refused)
			continue
		}
		for n, r := range s {
			of.set(r.id, tally{Debt: after[n].Debt, At: after[n].At})
		}
		return s, 0
	}
	return nil, wait
}

// takeLocal is take of what this node keeps itself.
func takeLocal(shares []share, now time.Time) (taken share, wait time.Duration) {
next:
	for _, s := range shares {
		for n, r := range s {
			ok, refused := r.local.Allow(r.here, now)
			if ok {
				continue
			}
			for _, r := range s[:n] {
				r.local.Back(r.here)
			}
			wait = sooner(wait, refused)
			continue next
		}
		return s, 0
	}
	return nil, wait
}

// sooner returns the shorter of two waits; zero is none yet.
func sooner(a, b time.Duration) time.Duration {
	if a == 0 {
		return b
	}
	return min(a, b)
}

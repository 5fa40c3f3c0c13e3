package compare

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// confidence is what an interval is wanted to have.
const confidence = 0.95

// Median returns the middle of xs, or the mean of the two in the middle.
func Median(xs []float64) float64 {
	s := slices.Sorted(slices.Values(xs))
	n := len(s)
	if n == 0 {
		return math.NaN()
	}
	return (s[(n-1)/2] + s[n/2]) / 2
}

// Interval returns the interval of the median by order statistics: the narrowest one from the k-th
// smallest to the k-th largest of xs that contains the true median with a probability of at
// least 95 %, and that probability. It assumes nothing about the distribution. Fewer than six values have
// no such interval: then it is from the smallest to the largest, and the probability is lower.
func Interval(xs []float64) (low, high, probability float64) {
	s := slices.Sorted(slices.Values(xs))
	n := len(s)
	if n == 0 {
		return math.NaN(), math.NaN(), 0
	}
	// The k-th smallest is above the median if fewer than k values are below it.
	outside, k := 2*math.Pow(0.5, float64(n)), 1
	for choose := 1.0; k < (n+1)/2; k++ {
		choose *= float64(n-k+1) / float64(k)
		more := outside + 2*choose*math.Pow(0.5, float64(n))
		if 1-more < confidence {
			break
		}
		outside = more
	}
	return s[k-1], s[n-k], max(1-outside, 0)
}

// quantile returns the q-th quantile of sorted: the smallest value that at least a part q of all is not above.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	n := int(math.Ceil(q * float64(len(sorted))))
	return sorted[max(n, 1)-1]
}

// resamples is how often a bootstrap draws.
const resamples = 1000

// bootstrap returns the q-th quantile of all rounds together, and its interval of 95 %: rounds are drawn from
// the rounds, with repetition, and the interval has the middle 95 of 100 of what these draws have as
// quantile. Rounds are drawn, and not requests, because a moment in which the machine is
// busy slows many requests of one round.
func bootstrap(rounds [][]time.Duration, q float64, random *rand.Rand) (value, low, high time.Duration) {
	value = quantile(sorted(slices.Concat(rounds...)), q)
	most := 0
	for _, r := range rounds {
		most = max(most, len(r))
	}
	// Only the slowest of each round can be the quantile of a draw.
	tops, many := make([][]time.Duration, len(rounds)), int((1-q)*float64(most*len(rounds)))+2
	for n, r := range rounds {
		tops[n] = sorted(r)[max(len(r)-many, 0):]
	}
	drawn := make([]time.Duration, resamples)
	for n := range drawn {
		var some []time.Duration
		total := 0
		for range rounds {
			i := random.IntN(len(rounds))
			some, total = append(some, tops[i]...), total+len(rounds[i])
		}
		slices.Sort(some)
		above := total - int(math.Ceil(q*float64(total)))
		drawn[n] = some[len(some)-1-above]
	}
	slices.Sort(drawn)
	return value, quantile(drawn, (1-confidence)/2), quantile(drawn, (1+confidence)/2)
}

// histogram counts durations in steps of about two percent.
func histogram(all []time.Duration) [][2]int64 {
	counts := make(map[int64]int64)
	for _, d := range all {
		counts[bucket(d)]++
	}
	var h [][2]int64
	for us, n := range counts {
		h = append(h, [2]int64{us, n})
	}
	slices.SortFunc(h, func(a, b [2]int64) int { return int(a[0] - b[0]) })
	return h
}

// bucket is d in microseconds, with two or three digits that count.
func bucket(d time.Duration) int64 {
	us, step := d.Microseconds(), int64(1)
	for us/step >= 100 {
		step *= 2
	}
	return us / step * step
}

func microseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

// sorted returns all in order.
func sorted(all []time.Duration) []time.Duration {
	all = slices.Clone(all)
	slices.Sort(all)
	return all
}

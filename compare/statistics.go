package compare

import (
	"math"
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

// quantileInterval returns the interval of the q-th quantile by order statistics, with the normal
// approximation of the binomial distribution, and whether there are values enough for an upper end.
func quantileInterval(sorted []time.Duration, q float64) (low, high time.Duration, enough bool) {
	n := float64(len(sorted))
	if n == 0 {
		return 0, 0, false
	}
	wide := 1.96 * math.Sqrt(n*q*(1-q))
	from, to := int(math.Floor(n*q-wide)), int(math.Ceil(n*q+wide))+1
	return sorted[max(from, 1)-1], sorted[min(to, len(sorted))-1], to <= len(sorted)
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

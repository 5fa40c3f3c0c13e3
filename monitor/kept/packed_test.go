package kept_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/monitor/kept"
)

// What is packed in memory is written as it was read, whatever it is.
func TestPacked(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 0))
		field := func() int32 {
			if random.IntN(3) == 0 {
				return 0
			}
			return random.Int32() >> random.IntN(31)
		}
		var days, hours []string
		second := 0
		for range random.IntN(400) {
			part := []string{}
			for range random.IntN(6) {
				part = append(part, fmt.Sprint(field()))
			}
			if len(part) > 0 {
				part = append(part, fmt.Sprint(1+random.Int32N(300)))
			}
			days = append(days, "["+strings.Join(part, ",")+"]")
			second = min(second+random.IntN(20), 3599)
			kind := ""
			if random.IntN(4) == 0 {
				kind = fmt.Sprint(",", 1+random.IntN(3))
			}
			hours = append(hours, fmt.Sprintf("[%d,%d%s]", second, field(), kind))
		}
		for day, rows := range map[bool][]string{true: days, false: hours} {
			text := "[" + strings.Join(rows, ",") + "]"
			if again, _, err := kept.Repack(day, []byte(text)); err != nil || string(again) != text {
				t.Fatalf("seed %d, a day %v: %v\n%s\nis written as\n%s", seed, day, err, text, again)
			}
		}
	}
}

// A day of a check that is well takes about a kilobyte, and so does an hour of results every ten seconds: a thousand checks
// fit into what the monitor may take.
func TestPackedIsSmall(t *testing.T) {
	day := "[" + strings.Repeat("[300,30,420,19],[300,30,391,22],", 143) + "[300,30,420,19],[300,30,391,22]]"
	hour := "[[0,14]"
	for n := range 359 {
		hour += fmt.Sprintf(",[%d,%d]", 10*(n+1), 8+n%40)
	}
	for text, isDay := range map[string]bool{day: true, hour + "]": false} {
		if _, size, err := kept.Repack(isDay, []byte(text)); err != nil || size > 1300 {
			t.Errorf("a day %v: %d bytes, %v", isDay, size, err)
		}
	}
}

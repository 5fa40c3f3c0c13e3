package kept_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/monitor/kept"
)

// What is packed is what was read, whatever it is, also of a store that has it as arrays.
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
			packed, array, err := kept.Repack(day, []byte(text))
			if err != nil || string(array) != text {
				t.Fatalf("seed %d, a day %v: %v\n%s\nis read as\n%s", seed, day, err, text, array)
			}
			again, array, err := kept.Repack(day, packed)
			if len(rows) > 0 && (err != nil || string(array) != text || string(again) != string(packed)) {
				t.Fatalf("seed %d, a day %v: %v\n%s\nis packed as\n%s\nand read as\n%s", seed, day, err, text, packed, array)
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
		if packed, _, err := kept.Repack(isDay, []byte(text)); err != nil || len(packed) > 1800 { // base64 of 1.3 KB
			t.Errorf("a day %v: %d bytes, %v", isDay, len(packed), err)
		}
	}
}

// What is damaged in the store is an error, and no more.
func FuzzPacked(f *testing.F) {
	f.Add([]byte{1, 30, 0, 63, 1, 2, 3, 4, 5, 6})
	f.Add([]byte{10, 20, 10, 255})
	f.Add([]byte{255})
	f.Add([]byte{0x3f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, bytes []byte) {
		text, err := json.Marshal(bytes)
		if err != nil {
			t.Fatal(err)
		}
		for _, day := range []bool{true, false} {
			packed, array, err := kept.Repack(day, text)
			if err != nil {
				continue
			}
			if _, again, err := kept.Repack(day, packed); err != nil || string(again) != string(array) {
				t.Errorf("a day %v, %v: %s is packed as %s, which is %s", day, err, array, packed, again)
			}
		}
	})
}

// Package catalog reads message catalogs: files with all that a program says in one language. Call
// [Read]. Each line of such a file has a key, " = " and a text, or is empty, or begins with #.
//
// It chooses no language, and fills no places in texts, except for those of a moment.
package catalog

import (
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"
)

// Read returns the texts of a file by their keys.
func Read(files fs.FS, name string) (map[string]string, error) {
	data, err := fs.ReadFile(files, name)
	if err != nil {
		return nil, err
	}
	texts, n := map[string]string{}, 0
	for line := range strings.Lines(string(data)) {
		n++
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		key, text, found := strings.Cut(line, " = ")
		if _, twice := texts[key]; !found || twice || text == "" {
			return nil, fmt.Errorf("%s:%d: want a new key, =, and a text", name, n)
		}
		texts[key] = text
	}
	return texts, nil
}

// Moment is a time in UTC: the text time.moment, with the day, the month of time.months, the year and the
// time of day in its places {0} to {3}.
func Moment(texts map[string]string, t time.Time) string {
	t = t.UTC()
	month := strings.Fields(texts["time.months"])[t.Month()-1]
	return strings.NewReplacer("{0}", strconv.Itoa(t.Day()), "{1}", month, "{2}", strconv.Itoa(t.Year()), "{3}", t.Format("15:04")).Replace(texts["time.moment"])
}

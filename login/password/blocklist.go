package password

import (
	_ "embed"
	"strings"
	"sync"
	"unicode"
)

//go:embed blocklist.txt
var blocklistText string

// blocked holds what people choose all the time (LOGIN-02). It is read at first
// use: most commands of the program never need it.
var blocked = sync.OnceValue(func() map[string]struct{} {
	words := strings.Fields(blocklistText + " counterfoil password passphrase administrator " + published)
	set := make(map[string]struct{}, len(words))
	for _, w := range words {
		set[w] = struct{}{}
	}
	return set
})

// published are passwords that documents print, without their spaces: that of "counterfoil
// serve --demo" among them.
const published = "correcthorsebatterystaple"

// common reports whether folded, which is in lower case, is a listed password
// or one in disguise: written twice or more, with separators, or with digits and
// signs around it. With 15 characters to fill, that is how people fill them.
func common(folded string) bool {
	list := blocked()
	listed := func(s string) bool {
		_, ok := list[s]
		return ok
	}
	letters := strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.IsPunct(r) || unicode.IsSymbol(r) {
			return -1
		}
		return r
	}, folded)
	core := strings.TrimFunc(letters, unicode.IsDigit)
	for _, s := range []string{folded, letters, core} {
		if listed(s) || listed(period(s)) {
			return true
		}
	}
	// Nothing is left but digits and signs: a date, a row of keys.
	return core == ""
}

// period returns the piece that s repeats, to the end or broken off, or s.
func period(s string) string {
	for n := 1; n <= len(s)/2; n++ {
		if strings.HasPrefix(strings.Repeat(s[:n], len(s)/n+1), s) {
			return s[:n]
		}
	}
	return s
}

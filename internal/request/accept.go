package request

import (
	"net/http"
	"strconv"
	"strings"
)

// Accepts reports whether r names a media type in Accept, and wants it as much as another one
// or more (RFC 9110 section 12.5.1). A type that is named by a wildcard alone is not wanted: a
// client that can read it says so. With no other type it is enough that media is named.
func Accepts(r *http.Request, media, other string) bool {
	wanted, named := quality(r, media)
	if other != "" {
		rest, _ := quality(r, other)
		return named && wanted > 0 && wanted >= rest
	}
	return named && wanted > 0
}

// quality returns how much r wants a media type, from 0 to 1, by the most specific range in
// Accept that includes it. It reports whether that range is the type itself.
func quality(r *http.Request, media string) (q float64, named bool) {
	kind, _, _ := strings.Cut(media, "/")
	best := 0
	for _, field := range r.Header["Accept"] {
		for one := range strings.SplitSeq(field, ",") {
			of, parameters, _ := strings.Cut(one, ";")
			of = strings.Trim(of, " \t")
			specific := 0
			switch {
			case strings.EqualFold(of, media):
				specific = 3
			case len(of) == len(kind)+2 && strings.EqualFold(of[:len(kind)], kind) && of[len(kind):] == "/*":
				specific = 2
			case of == "*/*":
				specific = 1
			}
			if weight := weightIn(parameters); specific > best || specific == best && specific > 0 && weight > q {
				best, q = specific, weight
			}
		}
	}
	return q, best == 3
}

// weightIn returns the q of a media range; without one it is 1.
func weightIn(parameters string) float64 {
	for parameter := range strings.SplitSeq(parameters, ";") {
		name, value, _ := strings.Cut(parameter, "=")
		if !strings.EqualFold(strings.Trim(name, " \t"), "q") {
			continue
		}
		if q, err := strconv.ParseFloat(strings.Trim(value, " \t"), 64); err == nil && q >= 0 && q <= 1 {
			return q
		}
	}
	return 1
}

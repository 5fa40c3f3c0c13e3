package request

import (
	"net/http"
	"strings"
)

// AddVary names in the Vary of an answer the fields of the request that it depends on (RFC 9110
// section 12.5.5), beside those that are named already, and none twice. Without that a
// cache may give the answer of one caller to another.
//
// Names is one line for h, and AddVary does not copy it: nobody may change it.
func AddVary(h http.Header, names []string) {
	old := h["Vary"]
	switch {
	case len(old) == 0:
		h["Vary"] = names[:len(names):len(names)] // what is appended to it goes into a copy
		return
	case len(old) == 1 && old[0] == names[0]:
		return
	}
	var missing []string
	for _, line := range names {
		for name := range strings.SplitSeq(line, ", ") {
			if !varies(old, name) {
				missing = append(missing, name)
			}
		}
	}
	if missing != nil {
		h["Vary"] = append(old[:len(old):len(old)], strings.Join(missing, ", "))
	}
}

// Reads returns the names of the fields that a check of the credential in that place reads. Upgrade
// and Accept are not among them: they only decide whether the origin is asked for, which is.
func Reads(in Place) string {
	const browser = "Origin, Sec-Fetch-Site, "
	switch in {
	case Cookie:
		return "Cookie, " + browser + MinCursorHeader
	case Authorization:
		return "Authorization, " + MinCursorHeader
	}
	return "Cookie, Authorization, " + browser + MinCursorHeader
}

// varies reports whether lines have name, or the asterisk that stands for all.
func varies(lines []string, name string) bool {
	for _, line := range lines {
		for told := range strings.SplitSeq(line, ",") {
			if told = strings.TrimSpace(told); strings.EqualFold(told, name) || told == "*" {
				return true
			}
		}
	}
	return false
}

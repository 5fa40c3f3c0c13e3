package urls

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// MaxReturnTo is the maximum length of what [ReturnTo] accepts, in bytes.
const MaxReturnTo = 2000

// ReturnTo parses where a browser is sent after a sign-in (HDR-03): a path of this origin, such
// as /notes?page=2, or the URL of a page of one of origins, each spelled as [Origin] wants it.
// It returns the origin of a URL, and "" for a path.
//
// A browser repairs what it is given: it drops tabs, takes \ for /, and decodes dots. So
// ReturnTo repairs nothing. What it accepts has one meaning for every reader, also for a
// proxy that decodes the path first, and is sent as it is.
func ReturnTo(text string, origins []string) (origin string, err error) {
	refuse := func(problem, hint string) (string, error) {
		return "", &Error{Text: shown(text), Problem: problem, Hint: hint}
	}
	switch {
	case text == "":
		return refuse("is empty", "give a path such as /notes, or leave it out")
	case len(text) > MaxReturnTo:
		return refuse("is too long", fmt.Sprintf("%d bytes at most", MaxReturnTo))
	case strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return refuse("has a space, a control character or a character beyond ASCII", "encode it as %20")
	}
	path := text
	if text[0] != '/' {
		i := slices.IndexFunc(origins, func(o string) bool { return pageOf(text, o) })
		if i < 0 {
			return refuse("is neither a path nor a page of an origin that is listed",
				"begin with / for a page of this origin; list another origin in the settings of the client")
		}
		origin = origins[i]
		path = text[len(origin):]
	}
	if end := strings.IndexAny(path, "?#"); end >= 0 {
		path = path[:end]
	}
	if _, err := url.PathUnescape(path); err != nil {
		return refuse("has a % that begins no escape", "encode % as %25")
	}
	for { // a reader may decode it, and another again: no level may lead elsewhere
		if problem := wrongWay(path); problem != "" {
			return refuse(problem, "give the path as a browser shows it")
		}
		decoded, err := url.PathUnescape(path)
		if err != nil || decoded == path {
			return origin, nil
		}
		path = decoded
	}
}

// pageOf reports whether text is the URL of a page of origin. No parser is asked what the host
// is: parsers differ.
func pageOf(text, origin string) bool {
	rest, found := strings.CutPrefix(text, origin)
	web := strings.HasPrefix(origin, "https://") || strings.HasPrefix(origin, "http://")
	return found && web && (rest == "" || strings.ContainsRune("/?#", rune(rest[0])))
}

// wrongWay says what in path may lead a reader elsewhere.
func wrongWay(path string) string {
	switch {
	case strings.HasPrefix(path, "//"):
		return "begins with two slashes, which name a host"
	case strings.Contains(path, `\`):
		return "has a backslash"
	case strings.ContainsFunc(path, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return "has an encoded control character"
	case slices.ContainsFunc(strings.Split(path, "/"), func(s string) bool { return s == "." || s == ".." }):
		return "has . or .. as a part of its path"
	}
	return ""
}

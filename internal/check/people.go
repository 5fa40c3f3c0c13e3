package check

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// People returns what is wrong with a text that people chose, such as a name, as the rest of a
// sentence. It refuses what does harm where the text is shown: see [Harm]. It does not ask
// whether a character is printable: by the tables of Go, the joiners in Persian names and emoji
// are not, nor are characters of private use, nor those that are newer than the tables.
func People(text string) error { return Characters(text, Harm) }

// Characters returns, as the rest of a sentence, what is wrong with the first character of a text
// for which wrong says something, or where the text is not UTF-8.
func Characters(text string, wrong func(rune) string) error {
	n := 0
	for i, r := range text {
		n++
		if _, size := utf8.DecodeRuneInString(text[i:]); r == utf8.RuneError && size == 1 {
			return fmt.Errorf("is not UTF-8: byte %d is %#x", i+1, text[i])
		}
		if why := wrong(r); why != "" {
			return fmt.Errorf("has %U, %s, as character %d", r, why, n)
		}
	}
	return nil
}

// Harm says what a character does where it is shown: it breaks a line, moves a cursor, or changes
// the direction of the text around it, or it is none. Empty: it does no harm.
func Harm(r rune) (what string) {
	switch {
	case r >= ' ' && r <= '~':
		return ""
	case unicode.IsControl(r):
		return "a control character"
	case r == 0x2028 || r == 0x2029:
		return "a line break"
	case 0x202A <= r && r <= 0x202E || 0x2066 <= r && r <= 0x2069: // UAX 9: embeddings, overrides and isolates
		return "which changes the direction of text"
	case 0xFDD0 <= r && r <= 0xFDEF || r&0xFFFE == 0xFFFE:
		return "which is no character"
	}
	return ""
}

// OneLine returns text with a blank for each character that does [Harm].
func OneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if Harm(r) != "" {
			return ' '
		}
		return r
	}, text)
}

// Clip returns [OneLine] of text. What is beyond limit bytes is cut off, and … stands there.
func Clip(text string, limit int) string {
	text = OneLine(text)
	if len(text) > limit {
		text = strings.ToValidUTF8(text[:limit], "") + "…"
	}
	return text
}

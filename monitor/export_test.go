package monitor

import "time"

// Window is [Maintenance.window].
func (w *Maintenance) Window(t time.Time) (begin, end time.Time, ok bool) { return w.window(t) }

// Find finds a JSON pointer in a text.
func Find(text, pointer string) (any, error) {
	value, err := decodeJSON([]byte(text))
	if err != nil {
		return nil, err
	}
	tokens, err := splitPointer(pointer)
	if err != nil {
		return nil, err
	}
	return find(value, tokens)
}

// EqualJSON compares two texts.
func EqualJSON(a, b string) bool {
	x, err := decodeJSON([]byte(a))
	y, err2 := decodeJSON([]byte(b))
	return err == nil && err2 == nil && equalJSON(x, y)
}

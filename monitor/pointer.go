package monitor

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// splitPointer returns the tokens of a JSON pointer (RFC 6901 section 4).
func splitPointer(pointer string) ([]string, error) {
	if pointer == "" {
		return nil, nil
	}
	if pointer[0] != '/' {
		return nil, fmt.Errorf("%q is no JSON pointer: it does not begin with /", pointer)
	}
	tokens := strings.Split(pointer[1:], "/")
	for i, token := range tokens {
		for rest := token; ; {
			_, after, found := strings.Cut(rest, "~")
			if !found {
				break
			}
			if after == "" || after[0] != '0' && after[0] != '1' {
				return nil, fmt.Errorf("%q is no JSON pointer: ~ is written ~0, and / is written ~1", pointer)
			}
			rest = after
		}
		tokens[i] = strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~") // in this order: ~01 is ~1
	}
	return tokens, nil
}

var errNothingThere = errors.New("nothing is there")

// find returns what a pointer leads to.
func find(value any, tokens []string) (any, error) {
	for _, token := range tokens {
		switch v := value.(type) {
		case map[string]any:
			member, is := v[token]
			if !is {
				return nil, errNothingThere
			}
			value = member
		case []any:
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(v) || strconv.Itoa(i) != token { // no sign and no leading zero
				return nil, errNothingThere
			}
			value = v[i]
		default:
			return nil, errNothingThere
		}
	}
	return value, nil
}

// decodeJSON reads one JSON value. Numbers stay as they are written.
func decodeJSON(data []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var value any
	if err := d.Decode(&value); err != nil {
		return nil, err
	}
	if d.More() {
		return nil, errors.New("something follows the value")
	}
	return value, nil
}

// equalJSON compares two values of [decodeJSON]. Numbers are compared by what they are worth: 1.0 is 1.
func equalJSON(a, b any) bool {
	switch x := a.(type) {
	case json.Number:
		y, is := b.(json.Number)
		if !is {
			return false
		}
		f, err := x.Float64()
		g, err2 := y.Float64()
		return x == y || err == nil && err2 == nil && f == g
	case map[string]any:
		y, is := b.(map[string]any)
		if !is || len(x) != len(y) {
			return false
		}
		for name, v := range x {
			if w, has := y[name]; !has || !equalJSON(v, w) {
				return false
			}
		}
		return true
	case []any:
		y, is := b.([]any)
		if !is || len(x) != len(y) {
			return false
		}
		for i := range x {
			if !equalJSON(x[i], y[i]) {
				return false
			}
		}
		return true
	}
	return a == b
}

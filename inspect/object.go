package inspect

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/counterfoil/counterfoil/internal/token"
)

// object is a JSON object. Names are compared exactly. Of two members with one name it has the
// last, and the lint says that there were two.
type object map[string]json.RawMessage

var errNotObject = errors.New("not a JSON object")

func noToken(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrNoToken}, args...)...)
}

// readObject reads the first JSON value of data, which must be an object. What stands behind it
// is a fault of the form, which [message.objectFaults] finds.
func readObject(data []byte) (object, error) {
	var o object
	if err := json.NewDecoder(bytes.NewReader(data)).Decode(&o); err != nil || o == nil {
		return nil, errNotObject
	}
	return o, nil
}

// text returns a member that is a text, or empty.
func (o object) text(name string) string {
	var s string
	if json.Unmarshal(o[name], &s) != nil {
		return ""
	}
	return s
}

// isText reports whether a member is there and is a text.
func (o object) isText(name string) bool {
	return len(o[name]) > 0 && o[name][0] == '"'
}

func (o object) has(name string) bool { _, ok := o[name]; return ok }

// texts returns a member that is a text or a list of texts. ok is false if it is something else.
func (o object) texts(name string) (list []string, ok bool) {
	if o.isText(name) {
		return []string{o.text(name)}, true
	}
	var raw []json.RawMessage
	if json.Unmarshal(o[name], &raw) != nil || raw == nil {
		return nil, false
	}
	for _, value := range raw {
		var s string
		if len(value) == 0 || value[0] != '"' || json.Unmarshal(value, &s) != nil {
			return nil, false
		}
		list = append(list, s)
	}
	return list, true
}

// number returns a member that is a number. A number beyond float64 is infinite.
func (o object) number(name string) (n float64, ok bool) {
	raw := o[name]
	if len(raw) == 0 || raw[0] != '-' && (raw[0] < '0' || raw[0] > '9') {
		return 0, false
	}
	if err := json.Unmarshal(raw, &n); err != nil {
		return math.Inf(1), true
	}
	return n, true
}

// Dates beyond the year 9999 have no text in RFC 3339.
const lastDate = 253402300799

// time returns a NumericDate (RFC 7519 section 2), also one with a fraction.
func (o object) time(name string) (time.Time, bool) {
	n, ok := o.number(name)
	if !ok || n < 0 || n > lastDate {
		return time.Time{}, false
	}
	whole, fraction := math.Modf(n)
	return time.Unix(int64(whole), int64(fraction*1e9)).UTC(), true
}

// objectFaults remembers what strict readers refuse about a JSON object.
func (m *message) objectFaults(name string, data []byte) {
	twice := duplicates(data)
	for _, path := range twice {
		m.fault("duplicate-member", name+"."+path)
	}
	err := token.CheckJSON(data)
	if err == nil || len(twice) > 0 && utf8.Valid(data) {
		return
	}
	_, why, _ := strings.Cut(err.Error(), ": ")
	m.fault("json", name+": "+why)
}

// duplicates returns the paths of the members that are not the first with their name in their
// object. It keeps its own stack, so that nesting costs memory and no stack.
func duplicates(data []byte) (paths []string) {
	type level struct {
		names  map[string]bool // nil in an array
		name   string
		isName bool // a name comes next
	}
	var stack []level
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	for len(paths) < 16 && len(stack) < 128 {
		t, err := d.Token()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				return paths
			}
			break
		}
		if delim, ok := t.(json.Delim); ok && (delim == '}' || delim == ']') {
			stack = stack[:len(stack)-1]
			continue
		}
		if top := len(stack) - 1; top >= 0 && stack[top].names != nil {
			l := &stack[top]
			if l.isName {
				l.name, l.isName = t.(string), false
				if l.names[l.name] {
					var path []string
					for _, above := range stack {
						path = append(path, above.name)
					}
					paths = append(paths, strings.Join(slices.DeleteFunc(path, func(s string) bool { return s == "" }), "."))
				}
				l.names[l.name] = true
				continue
			}
			l.isName = true // after this value
		}
		switch t {
		case json.Delim('{'):
			stack = append(stack, level{names: map[string]bool{}, isName: true})
		case json.Delim('['):
			stack = append(stack, level{})
		}
	}
	return paths
}

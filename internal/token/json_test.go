package token_test

import (
	"encoding/json"
	"testing"

	"github.com/counterfoil/counterfoil/internal/token"
)

// anyJSON has each kind of value and each kind of escape.
const anyJSON = `{"a":"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00","b":[1,-2.5e+3,{"c":null}],"d":true,"\u0065":false}`

// readRaw reads the members of an object, and leaves each value as it is written.
func readRaw(data []byte) (map[string]string, error) {
	members := map[string]string{}
	err := token.ReadObject(data, func(name string, v *token.Value) error {
		value, err := v.Raw()
		members[name] = value
		return err
	})
	return members, err
}

// JSON that ends too early is refused wherever it ends.
func TestCutJSON(t *testing.T) {
	for n := range len(anyJSON) {
		if _, err := readRaw([]byte(anyJSON[:n])); err == nil {
			t.Errorf("%s is read", anyJSON[:n])
		}
		if err := token.CheckJSON([]byte(anyJSON[:n])); err == nil {
			t.Errorf("%s is accepted", anyJSON[:n])
		}
	}
	if members, err := readRaw([]byte(anyJSON)); err != nil || members["e"] != "false" {
		t.Errorf("%s is read as %v, %v", anyJSON, members, err)
	}
}

// All ways to read strict JSON accept the same texts, and encoding/json accepts these too.
func FuzzReadObject(f *testing.F) {
	f.Add([]byte(anyJSON))
	f.Add([]byte(` { "a" : [ ] , "b" : "\ud800" } `))
	f.Fuzz(func(t *testing.T, data []byte) {
		members, err := readRaw(data)
		if checked := token.CheckJSON(data); (checked == nil) != (err == nil) {
			t.Fatalf("%q: read %v, checked %v", data, err, checked)
		}
		if err != nil {
			return
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal(data, &want); err != nil || len(want) != len(members) {
			t.Fatalf("%q is read as %v, by encoding/json as %v, %v", data, members, want, err)
		}
		for name, value := range want {
			if members[name] != string(value) {
				t.Errorf("%q: %q is read as %s, by encoding/json as %s", data, name, members[name], value)
			}
		}
	})
}

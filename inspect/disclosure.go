package inspect

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"slices"
)

// Disclosure is one claim of an SD-JWT that its holder shows (RFC 9901 section 4.2).
type Disclosure struct {
	Digest string          `json:"digest"`
	Name   string          `json:"name,omitempty"` // empty for an element of a list
	Value  json.RawMessage `json:"value,omitempty"`

	// Matched says that the token, or another matched disclosure, has the digest exactly once.
	Matched bool   `json:"matched"`
	Problem string `json:"problem,omitempty"`
}

// Binding is what is read of the key binding JWT (RFC 9901 section 4.3).
type Binding struct {
	*Decoded
	HashMatches bool `json:"sd_hash_matches"` // sd_hash is that of the token and its disclosures
}

// digestAlgorithms are those that _sd_alg may name (RFC 9901 section 4.1.1).
var digestAlgorithms = map[string]func() hash.Hash{"sha-256": sha256.New, "sha-384": sha512.New384, "sha-512": sha512.New}

// digestName is _sd_alg, or the default.
func digestName(claims object) string {
	if name := claims.text("_sd_alg"); name != "" {
		return name
	}
	return "sha-256"
}

func digestOf(name, text string) string {
	h := digestAlgorithms[name]()
	h.Write([]byte(text))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// disclosed reads the disclosures, and finds out whether the token has their digests.
func (m *message) disclosed(claims object) (list []Disclosure) {
	name := digestName(claims)
	known := digestAlgorithms[name] != nil
	found := map[string]int{}
	digests(m.payload, found)
	for _, text := range m.disclosures {
		d := Disclosure{}
		var parts []json.RawMessage
		raw, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil || json.Unmarshal(raw, &parts) != nil || len(parts) != 2 && len(parts) != 3 {
			d.Problem = "it is not base64url of a list of two or three values"
			list = append(list, d)
			continue
		}
		d.Value = parts[len(parts)-1]
		if len(parts) == 3 && json.Unmarshal(parts[1], &d.Name) != nil {
			d.Problem = "its name is no text"
		}
		if d.Name == "_sd" || d.Name == "..." {
			d.Problem = "its name is reserved"
		}
		if known {
			d.Digest = digestOf(name, text)
			digests(d.Value, found)
		} else {
			d.Problem = fmt.Sprintf("_sd_alg is %q, which is not known here", name)
		}
		list = append(list, d)
	}
	for i := range list {
		d := &list[i]
		twice := slices.ContainsFunc(list[:i], func(other Disclosure) bool { return other.Digest == d.Digest })
		switch {
		case d.Problem != "":
		case twice:
			d.Problem = "it occurs twice"
		case found[d.Digest] == 0:
			d.Problem = "the token does not have its digest"
		case found[d.Digest] > 1:
			d.Problem = "its digest occurs twice"
		default:
			d.Matched = true
		}
	}
	return list
}

// digests counts the digests in a JSON value: in _sd of objects, and in elements {"...": digest}
// of lists.
func digests(data []byte, found map[string]int) {
	var value any
	if json.Unmarshal(data, &value) == nil {
		count(value, found, 0)
	}
}

const maxDepth = 32

func count(value any, found map[string]int, depth int) {
	if depth > maxDepth {
		return
	}
	switch v := value.(type) {
	case []any:
		for _, element := range v {
			if o, ok := element.(map[string]any); ok && len(o) == 1 {
				if digest, ok := o["..."].(string); ok {
					found[digest]++
					continue
				}
			}
			count(element, found, depth+1)
		}
	case map[string]any:
		if list, ok := v["_sd"].([]any); ok {
			for _, element := range list {
				if digest, ok := element.(string); ok {
					found[digest]++
				}
			}
		}
		for name, inner := range v {
			if name != "_sd" {
				count(inner, found, depth+1)
			}
		}
	}
}

// resolved returns the claims with each disclosed value in its place, and without digests
// (RFC 9901 section 7.1). Each disclosure must be matched. It refuses a disclosed claim that is there
// already: one of both was meant to be another.
func (m *message) resolved(list []Disclosure) (json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(m.payload))
	d.UseNumber()
	var claims map[string]any
	if err := d.Decode(&claims); err != nil {
		return nil, errNotObject
	}
	r := resolver{}
	for _, one := range list {
		r[one.Digest] = one
	}
	value, err := r.value(claims, 0)
	if err != nil {
		return nil, err
	}
	delete(value.(map[string]any), "_sd_alg")
	return json.Marshal(value)
}

// resolver has the disclosures by digest.
type resolver map[string]Disclosure

func (r resolver) value(value any, depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("it is nested deeper than %d levels", maxDepth)
	}
	switch v := value.(type) {
	case []any:
		return r.list(v, depth)
	case map[string]any:
		return r.object(v, depth)
	}
	return value, nil
}

func (r resolver) list(list []any, depth int) (any, error) {
	kept := []any{}
	for _, element := range list {
		if o, ok := element.(map[string]any); ok && len(o) == 1 {
			if digest, ok := o["..."].(string); ok {
				d, shown := r[digest]
				switch {
				case !shown:
					continue
				case d.Name != "":
					return nil, fmt.Errorf("the disclosure of %s is for an object and stands in a list", quoted(d.Name))
				}
				element = d.parsed()
			}
		}
		one, err := r.value(element, depth+1)
		if err != nil {
			return nil, err
		}
		kept = append(kept, one)
	}
	return kept, nil
}

func (r resolver) object(o map[string]any, depth int) (any, error) {
	kept := map[string]any{}
	for name, inner := range o {
		if name == "_sd" {
			continue
		}
		one, err := r.value(inner, depth+1)
		if err != nil {
			return nil, err
		}
		kept[name] = one
	}
	digests, _ := o["_sd"].([]any)
	for _, digest := range digests {
		text, _ := digest.(string)
		d, shown := r[text]
		switch _, there := kept[d.Name]; {
		case !shown:
			continue
		case d.Name == "":
			return nil, errors.New("a disclosure for a list stands in an object")
		case there:
			return nil, fmt.Errorf("the disclosed claim %s is there already", quoted(d.Name))
		}
		one, err := r.value(d.parsed(), depth+1)
		if err != nil {
			return nil, err
		}
		kept[d.Name] = one
	}
	return kept, nil
}

// parsed is the value, with numbers as they are written.
func (d Disclosure) parsed() (value any) {
	decoder := json.NewDecoder(bytes.NewReader(d.Value))
	decoder.UseNumber()
	if decoder.Decode(&value) != nil {
		return nil
	}
	return value
}

// bound is the text over which sd_hash is: the token and its disclosures, without the key
// binding JWT (RFC 9901 section 4.3.1).
func (m *message) bound() string {
	s := m.signatures[0]
	text := s.part + "." + m.payloadPart + "." + base64.RawURLEncoding.EncodeToString(s.value)
	for _, d := range m.disclosures {
		text += "~" + d
	}
	return text + "~"
}

// readBinding reads the key binding JWT; nil if there is none.
func (m *message) readBinding(claims object, r reader) *Binding {
	if m.binding == "" {
		return nil
	}
	d, err := r.decode(m.binding)
	if err != nil {
		return &Binding{Decoded: &Decoded{Problems: []string{"key binding: " + err.Error()}}}
	}
	b := &Binding{Decoded: d}
	if own, err := readObject(d.Claims); err == nil && digestAlgorithms[digestName(claims)] != nil {
		b.HashMatches = own.text("sd_hash") == digestOf(digestName(claims), m.bound())
	}
	return b
}

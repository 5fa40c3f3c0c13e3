package kept

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"iter"
	"math"
	"slices"
)

// A leader has the hour and the day of each check in memory and writes them each minute, so they are packed, there and in the store:
// a day of five-minute parts that are alike is some 1 KB. What is packed never changes, so a copy of the value stays as it is. In
// the store they are texts in base64. What was written before that, as arrays of numbers, is read too.

var errPacked = errors.New("what is packed is damaged")

// parts are the counts of a day, in order.
type parts struct {
	packed       []byte // all but the last: which fields differ from the part before, and these
	n            int    // how many there are, with the last
	before, last count
}

// add adds c to the part of that number, which is the last one or comes after it.
func (p *parts) add(number int, c count) {
	for p.n <= number {
		p.begin(count{})
	}
	p.last.add(c)
}

func (p *parts) begin(c count) {
	if p.n > 0 {
		p.packed, p.before = p.last.pack(p.packed, p.before), p.last
	}
	p.n, p.last = p.n+1, c
}

func (c count) pack(to []byte, before count) []byte {
	is, was, at := c.array(), before.array(), len(to)
	to = append(to, 0)
	for n := range is {
		if is[n] != was[n] {
			to[at] |= 1 << n
			to = binary.AppendUvarint(to, uint64(uint32(is[n])))
		}
	}
	return to
}

// unpack reads what pack has written after before.
func (c *count) unpack(from []byte, before count) (rest []byte, err error) {
	fields := before.array()
	differ, rest := from[0], from[1:]
	if differ >= 1<<len(fields) {
		return nil, errPacked
	}
	for n := range fields {
		if differ&(1<<n) != 0 {
			value, length := binary.Uvarint(rest)
			if length <= 0 || value > math.MaxUint32 {
				return nil, errPacked
			}
			fields[n], rest = int32(uint32(value)), rest[length:]
		}
	}
	*c = countOf(fields)
	return rest, nil
}

func (p parts) all() iter.Seq2[int, count] {
	return func(yield func(int, count) bool) {
		var c count
		rest := p.packed
		for number := range p.n - 1 {
			rest, _ = c.unpack(rest, c) // it was packed here, or looked at when it was read
			if !yield(number, c) {
				return
			}
		}
		if p.n > 0 {
			yield(p.n-1, p.last)
		}
	}
}

// MarshalJSON writes all parts as one text.
func (p parts) MarshalJSON() ([]byte, error) {
	packed := slices.Clip(p.packed) // others append to it
	if p.n > 0 {
		packed = p.last.pack(packed, p.before)
	}
	return json.Marshal(packed)
}

// UnmarshalJSON reads what MarshalJSON writes, and arrays.
func (p *parts) UnmarshalJSON(text []byte) error {
	var all []count
	if text[0] == '"' {
		var packed []byte
		if err := json.Unmarshal(text, &packed); err != nil {
			return err
		}
		var c count
		for len(packed) > 0 {
			var err error
			if packed, err = c.unpack(packed, c); err != nil {
				return err
			}
			all = append(all, c)
		}
	} else if err := json.Unmarshal(text, &all); err != nil {
		return err
	}
	*p = parts{}
	for _, c := range all {
		p.begin(c)
	}
	return nil
}

// samples are the results of an hour, in order.
type samples struct {
	packed []byte // seconds since the one before; then milliseconds, and the kind in the two lowest bits
	n      int
	second uint16 // of the last
}

func (s *samples) add(x sample) {
	s.packed = binary.AppendUvarint(s.packed, uint64(x.second-s.second))
	s.packed = binary.AppendUvarint(s.packed, uint64(x.took)<<2|uint64(x.kind&3))
	s.n, s.second = s.n+1, x.second
}

// unpack reads what add has written after x.
func (x *sample) unpack(from []byte) (rest []byte, err error) {
	later, length := binary.Uvarint(from)
	if length <= 0 || later > math.MaxUint16 {
		return nil, errPacked
	}
	rest = from[length:]
	what, length := binary.Uvarint(rest)
	if length <= 0 || what>>2 > math.MaxUint32 {
		return nil, errPacked
	}
	*x = sample{second: x.second + uint16(later), kind: uint8(what & 3), took: uint32(what >> 2)}
	return rest[length:], nil
}

func (s samples) all() iter.Seq2[int, sample] {
	return func(yield func(int, sample) bool) {
		var x sample
		rest := s.packed
		for number := range s.n {
			rest, _ = x.unpack(rest) // see parts.all
			if !yield(number, x) {
				return
			}
		}
	}
}

// MarshalJSON writes all samples as one text.
func (s samples) MarshalJSON() ([]byte, error) { return json.Marshal(s.packed) }

// UnmarshalJSON reads what MarshalJSON writes, and arrays.
func (s *samples) UnmarshalJSON(text []byte) error {
	var read samples
	if text[0] == '"' {
		var packed []byte
		if err := json.Unmarshal(text, &packed); err != nil {
			return err
		}
		var x sample
		for len(packed) > 0 {
			var err error
			if packed, err = x.unpack(packed); err != nil {
				return err
			}
			read.add(x)
		}
	} else {
		var all [][]uint32
		if err := json.Unmarshal(text, &all); err != nil {
			return err
		}
		for _, fields := range all {
			fields = append(fields, 0, 0, 0)
			read.add(sample{second: uint16(fields[0]), took: fields[1], kind: uint8(fields[2])})
		}
	}
	*s = read
	return nil
}

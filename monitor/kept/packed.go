package kept

import (
	"encoding/binary"
	"encoding/json"
	"iter"
	"strconv"
)

// A leader has the hour and the day of each check in memory, so they are packed there: a day of five-minute parts that
// are alike is some 1 KB instead of 7. What is packed never changes, so a copy of the value stays as it is. In the store they
// are JSON, written here in one go: a thousand checks write theirs each minute.

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
		is, was, at := p.last.array(), p.before.array(), len(p.packed)
		p.packed = append(p.packed, 0)
		for n := range is {
			if is[n] != was[n] {
				p.packed[at] |= 1 << n
				p.packed = binary.AppendUvarint(p.packed, uint64(is[n]))
			}
		}
		p.before = p.last
	}
	p.n, p.last = p.n+1, c
}

func (p parts) all() iter.Seq2[int, count] {
	return func(yield func(int, count) bool) {
		var fields [6]int32
		rest := p.packed
		for number := range p.n - 1 {
			differ := rest[0]
			rest = rest[1:]
			for n := range fields {
				if differ&(1<<n) != 0 {
					value, length := binary.Uvarint(rest)
					fields[n], rest = int32(value), rest[length:]
				}
			}
			if !yield(number, countOf(fields)) {
				return
			}
		}
		if p.n > 0 {
			yield(p.n-1, p.last)
		}
	}
}

// append appends c as JSON.
func (c count) append(text []byte) []byte {
	fields := c.array()
	end := len(fields)
	for end > 0 && fields[end-1] == 0 {
		end--
	}
	return appendArray(text, fields[:end])
}

// MarshalJSON writes an array of counts.
func (p parts) MarshalJSON() ([]byte, error) {
	text := append(make([]byte, 0, 2+24*p.n), '[')
	for n, c := range p.all() {
		if n > 0 {
			text = append(text, ',')
		}
		text = c.append(text)
	}
	return append(text, ']'), nil
}

// UnmarshalJSON reads what MarshalJSON writes.
func (p *parts) UnmarshalJSON(text []byte) error {
	var all [][]int32
	if err := json.Unmarshal(text, &all); err != nil {
		return err
	}
	*p = parts{}
	for _, fields := range all {
		p.begin(countOf([6]int32(append(fields, make([]int32, 6)...))))
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

func (s samples) all() iter.Seq2[int, sample] {
	return func(yield func(int, sample) bool) {
		var x sample
		rest := s.packed
		for number := range s.n {
			later, length := binary.Uvarint(rest)
			rest = rest[length:]
			what, length := binary.Uvarint(rest)
			rest = rest[length:]
			x = sample{second: x.second + uint16(later), kind: uint8(what & 3), took: uint32(what >> 2)}
			if !yield(number, x) {
				return
			}
		}
	}
}

// MarshalJSON writes an array of samples, each an array without a zero at its end.
func (s samples) MarshalJSON() ([]byte, error) {
	text := append(make([]byte, 0, 2+12*s.n), '[')
	for n, x := range s.all() {
		if n > 0 {
			text = append(text, ',')
		}
		fields := []int32{int32(x.second), int32(x.took), int32(x.kind)}
		if x.kind == 0 {
			fields = fields[:2]
		}
		text = appendArray(text, fields)
	}
	return append(text, ']'), nil
}

// UnmarshalJSON reads what MarshalJSON writes.
func (s *samples) UnmarshalJSON(text []byte) error {
	var all [][]uint32
	if err := json.Unmarshal(text, &all); err != nil {
		return err
	}
	*s = samples{}
	for _, fields := range all {
		fields = append(fields, 0, 0, 0)
		s.add(sample{second: uint16(fields[0]), took: fields[1], kind: uint8(fields[2])})
	}
	return nil
}

func appendArray(text []byte, fields []int32) []byte {
	text = append(text, '[')
	for n, field := range fields {
		if n > 0 {
			text = append(text, ',')
		}
		text = strconv.AppendInt(text, int64(field), 10)
	}
	return append(text, ']')
}

package kept

import "encoding/json"

// Repack reads the parts of a day, or the results of an hour, as an array or packed, and writes them packed. array is the
// same as arrays.
func Repack(day bool, text []byte) (packed []byte, array []byte, err error) {
	if day {
		var p parts
		if err := json.Unmarshal(text, &p); err != nil {
			return nil, nil, err
		}
		all := []count{}
		for _, c := range p.all() {
			all = append(all, c)
		}
		if packed, err = json.Marshal(p); err == nil {
			array, err = json.Marshal(all)
		}
		return packed, array, err
	}
	var s samples
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, nil, err
	}
	all := [][]uint32{}
	for _, x := range s.all() {
		row := []uint32{uint32(x.second), x.took, uint32(x.kind)}
		if x.kind == 0 {
			row = row[:2]
		}
		all = append(all, row)
	}
	if packed, err = json.Marshal(s); err == nil {
		array, err = json.Marshal(all)
	}
	return packed, array, err
}

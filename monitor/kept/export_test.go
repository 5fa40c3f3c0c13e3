package kept

import "encoding/json"

// Repack reads the parts of a day, or the results of an hour, and writes them again. size is how many bytes
// they take in memory.
func Repack(day bool, text []byte) (again []byte, size int, err error) {
	if day {
		var p parts
		if err := json.Unmarshal(text, &p); err != nil {
			return nil, 0, err
		}
		again, err = json.Marshal(p)
		return again, len(p.packed), err
	}
	var s samples
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, 0, err
	}
	again, err = json.Marshal(s)
	return again, len(s.packed), err
}

package compare

import "time"

// Schema is the member schema of the JSON of a [Result].
const Schema = "counterfoil-compare/1"

// Result is everything that a run has found.
type Result struct {
	Schema     string            `json:"schema"`
	Version    string            `json:"version"` // of the program
	Began      time.Time         `json:"began"`
	Seconds    float64           `json:"seconds"` // how long it took
	Seed       uint64            `json:"seed"`
	Partial    bool              `json:"partial"`              // it was interrupted
	Unfinished []string          `json:"unfinished,omitempty"` // groups that were not measured to the end
	Machine    Machine           `json:"machine"`
	Settings   Settings          `json:"settings"`
	Libraries  map[string]string `json:"libraries"` // versions by module
	Contenders []Contender       `json:"contenders"`
	Rows       []Row             `json:"rows"`
	Notes      []string          `json:"notes,omitempty"`
}

// Machine is where it was measured.
type Machine struct {
	OS          string `json:"os"`
	Arch        string `json:"arch"`
	CPUs        int    `json:"cpus"`
	CPU         string `json:"cpu,omitempty"`
	MemoryBytes int64  `json:"memory_bytes,omitempty"`
	Kernel      string `json:"kernel,omitempty"`
	Go          string `json:"go"`
}

// Settings are how it was measured.
type Settings struct {
	Rounds      int      `json:"rounds"`
	MeasureMS   float64  `json:"measure_ms"` // of one contender in one round
	Rate        float64  `json:"rate"`       // requests per second of the rows of latency
	Users       []int    `json:"users"`      // of the rows of memory
	Stores      []string `json:"stores"`     // kinds of stores beside memory
	Callers     int      `json:"callers"`    // who send requests by turns
	Connections int      `json:"connections"`
}

// The families of contenders.
const (
	FamilySession = "session"
	FamilyJWT     = "jwt"
	FamilyOurs    = "counterfoil"
	FamilyNone    = "none" // no check at all: the floor, which is in no ranking
)

// Contender is a way to know who sends a request.
type Contender struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	Family    string `json:"family"`
	Format    string `json:"format,omitempty"`    // opaque, jwt or jwe
	Transport string `json:"transport,omitempty"` // cookie or header
	Store     string `json:"store,omitempty"`     // kind of store that a check needs; empty: none
	About     string `json:"about"`
}

// Row is one question, and what each contender answers.
type Row struct {
	ID      string   `json:"id"`
	Group   string   `json:"group"` // rows of one group are measured together
	Title   string   `json:"title"`
	How     string   `json:"how"`              // how it was measured
	Unit    string   `json:"unit,omitempty"`   // of values; empty: there are only texts
	Better  string   `json:"better,omitempty"` // less or more; empty: neither is better
	Series  string   `json:"series,omitempty"` // rows of one series differ in At alone
	At      *float64 `json:"at,omitempty"`     // the place of the row in its series, in AtUnit
	AtUnit  string   `json:"at_unit,omitempty"`
	Decided bool     `json:"decided"` // no two contenders have intervals that overlap, or nearly do
	Cells   []Cell   `json:"cells"`
	Notes   []string `json:"notes,omitempty"`
}

// Cell is the answer of one contender.
type Cell struct {
	Contender  string     `json:"contender"`
	Value      *float64   `json:"value,omitempty"` // the median; nil: Text has the answer
	Low        *float64   `json:"low,omitempty"`
	High       *float64   `json:"high,omitempty"`
	Confidence float64    `json:"confidence,omitempty"` // that the true median is in Low to High
	Counted    bool       `json:"counted,omitempty"`    // the value was counted, or measured once; Low and High are then what the row says
	Rank       [2]int     `json:"rank,omitzero"`        // at best and at worst, from 1: they differ if nothing is decided among these; zero: it has none
	Rounds     []float64  `json:"rounds,omitempty"`     // raw
	Histogram  [][2]int64 `json:"histogram,omitempty"`  // raw: microseconds and how many
	Text       string     `json:"text,omitempty"`
}

// The values of Row.Better.
const (
	Less = "less"
	More = "more"
)

// margin is how far apart two intervals must be for a ranking. Two runs measure the same on a machine
// that is otherwise idle only to within some percent.
const margin = 1.10

// counted is a cell with an exact number.
func counted(contender string, v float64) Cell {
	return Cell{Contender: contender, Value: &v, Low: &v, High: &v, Counted: true}
}

// notMeasured is the text of a cell of which no round has a number.
const notMeasured = "not measured"

// inWords is a cell without a number.
func inWords(contender, text string) Cell { return Cell{Contender: contender, Text: text} }

// measured is a cell with what the rounds found.
func measured(contender string, rounds []float64) Cell {
	if len(rounds) == 0 {
		return inWords(contender, notMeasured)
	}
	low, high, confidence := Interval(rounds)
	v := Median(rounds)
	return Cell{Contender: contender, Value: &v, Low: &low, High: &high, Confidence: confidence, Rounds: rounds}
}

// rank sets the ranks of the cells, and Decided. A contender is decidedly better than another if their
// intervals do not overlap and are a margin apart; counts are exact. The rank of a contender is a range:
// at best it is after those that are decidedly better, at worst before those that are decidedly
// worse. Too few rounds decide nothing. Cells without a value, and the floor, have none.
func (r *Row) rank() {
	if r.Better == "" {
		return
	}
	var in []*Cell
	for n := range r.Cells {
		if c := &r.Cells[n]; c.Value != nil && c.Contender != noCheck {
			in = append(in, c)
		}
	}
	r.Decided = len(in) > 1
	for _, c := range in {
		better, equal, worse := 0, 0, 0
		for _, d := range in {
			switch {
			case below(d, c):
				better++
			case below(c, d):
				worse++
			case c.exact() && d.exact():
				equal++ // c itself too
			}
		}
		if r.Better == More {
			better, worse = worse, better
		}
		c.Rank = [2]int{better + 1, len(in) - worse}
		if c.exact() && better+equal+worse == len(in) {
			c.Rank[1] = c.Rank[0] // all with this rank are equal
		}
		r.Decided = r.Decided && c.Rank[0] == c.Rank[1]
	}
}

// exact reports whether the value is a count that nothing blurs.
func (c *Cell) exact() bool { return c.Counted && *c.Low == *c.High }

// sure reports whether the interval can decide anything.
func (c *Cell) sure() bool { return c.Counted || c.Confidence >= confidence }

// below reports whether a's values are decidedly smaller than those of b.
func below(a, b *Cell) bool {
	switch {
	case !a.sure() || !b.sure():
		return false
	case a.exact() && b.exact():
		return *a.High < *b.Low
	}
	return *a.High*margin < *b.Low
}

// Contender returns the contender with an id.
func (r *Result) Contender(id string) Contender {
	for _, c := range r.Contenders {
		if c.ID == id {
			return c
		}
	}
	return Contender{ID: id, Name: id}
}

// Row returns the row with an id, or nil.
func (r *Result) Row(id string) *Row {
	for n := range r.Rows {
		if r.Rows[n].ID == id {
			return &r.Rows[n]
		}
	}
	return nil
}

// Cell returns the answer of a contender, or nil.
func (r *Row) Cell(contender string) *Cell {
	for n := range r.Cells {
		if r.Cells[n].Contender == contender {
			return &r.Cells[n]
		}
	}
	return nil
}

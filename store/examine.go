package store

import "time"

// Examination is what an engine says of itself, for people who operate it. The
// function Examine of an engine makes one beside servers that run, and changes nothing.
type Examination struct {
	Engine  string // its name and version
	Class   Durability
	Why     string        // why it is not Durable
	Answers time.Duration // how long a read took
	Ahead   time.Duration // its clock, beside ours; see Within
	Within  time.Duration // how exactly Ahead is known; zero: it has no clock of its own
	Overdue int           // expired records and entries that nobody has swept, up to MaxOverdue
	Remarks []Remark
}

// MaxOverdue bounds the counting.
const MaxOverdue = 100_000

// Remark is something that is wrong, or will be, and what to do about it.
type Remark struct {
	Text, Hint string
	Broken     bool // the store cannot be used like this
}

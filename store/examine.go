package store

import "time"

// Examination is what an engine says about itself, for its operators. Each engine has a
// function Examine that makes one. It changes nothing, and servers may run meanwhile.
type Examination struct {
	Engine  string // its name and version
	Class   Durability
	Why     string        // why it is not Durable
	Answers time.Duration // how long a read took
	Ahead   time.Duration // how far its clock is ahead of ours; see Within
	Within  time.Duration // how exactly Ahead is known; zero: it has no clock of its own
	Overdue int           // expired records and entries that were not swept, up to MaxOverdue
	Remarks []Remark
}

// MaxOverdue bounds the counting.
const MaxOverdue = 100_000

// Remark is something that is wrong, or will be, and what to do about it.
type Remark struct {
	Text, Hint string
	Broken     bool // the store cannot be used like this
}

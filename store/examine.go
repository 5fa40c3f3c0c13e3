package store

import "time"

// Examination is a report on an engine for its operators. Each engine has a function Examine
// that returns one. It changes nothing, and servers may run at the same time.
type Examination struct {
	Engine  string // its name and version
	Class   Durability
	Why     string        // why it is not Durable; empty if it is
	Answers time.Duration // how long a read took
	Ahead   time.Duration // how far its clock is ahead of the clock of this process
	Within  time.Duration // how exact Ahead is; zero: the engine has no clock of its own
	Overdue int           // number of expired records and entries that are still there, at most MaxOverdue
	Remarks []Remark
}

// MaxOverdue is where the counting of [Examination.Overdue] stops.
const MaxOverdue = 100_000

// Remark is a problem, or one that will come, and what to do about it.
type Remark struct {
	Text, Hint string
	Broken     bool // the store cannot be used like this
}

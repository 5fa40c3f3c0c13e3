package revlog

import (
	"time"

	"github.com/counterfoil/counterfoil/source"
)

// MaxCopyTTL is the longest life that an issuer may give to a copy.
const MaxCopyTTL = 15 * time.Minute

// entryTTL is how long a log entry is kept: the longest life of any copy made before it,
// the largest leeway that a verifier may grant, and a minute for clocks that disagree
// (REV-13). The cap of copies is used, not the setting, so lowering the setting never
// drops an entry too early.
const entryTTL = MaxCopyTTL + time.Minute + time.Minute

// Entry returns what a commit at now appends to the log.
func Entry(scope source.Scope, id, reason string, now time.Time) source.Revocation {
	return source.Revocation{Scope: scope, ID: id, Reason: reason, Expires: now.Add(entryTTL)}
}

// CommittedAt returns when an entry was made.
func CommittedAt(e source.Revocation) time.Time { return e.Expires.Add(-entryTTL) }

package token

import "strings"

// GrantID returns the id of a grant in the revocation log: the grant that the client has of
// the session sid. A session id has no space, so the id is unambiguous.
func GrantID(sid, client string) string { return sid + " " + client }

// CutGrantID returns the parts of an id that [GrantID] made.
func CutGrantID(id string) (sid, client string, ok bool) { return strings.Cut(id, " ") }

// OthersID returns the id, in the revocation log, of all sessions of subject but spared.
func OthersID(subject, spared string) string { return subject + " " + spared }

// CutOthersID returns the parts of an id that [OthersID] made.
func CutOthersID(id string) (subject, spared string, ok bool) { return strings.Cut(id, " ") }

package token

import "strings"

// GrantID returns the id of a grant in the revocation log: the grant that the client has of
// the session sid. A session id has no space, so the id is unambiguous.
func GrantID(sid, client string) string { return sid + " " + client }

// CutGrantID returns the parts of an id that [GrantID] made.
func CutGrantID(id string) (sid, client string, ok bool) { return strings.Cut(id, " ") }

package token

import "strings"

// GrantID names in the revocation log what client holds of the session sid. A session
// id has no space in it, so one id has one meaning.
func GrantID(sid, client string) string { return sid + " " + client }

// CutGrantID returns the parts of what [GrantID] made.
func CutGrantID(id string) (sid, client string, ok bool) { return strings.Cut(id, " ") }

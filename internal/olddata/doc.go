// Package olddata holds the current code to what earlier versions wrote: its tests open
// stores of such a version and go on with the sessions, refresh tokens, passwords and API
// keys that people held of it.
//
// Each folder of testdata is named for the revision that wrote it, and has one folder for
// each installation: the store (a SQLite file, or a dump of PostgreSQL or Redis), the
// sealing key, the head file, and held.json with all secrets in the clear. A fixture is
// written once, by the program of its revision, and never by hand:
//
//	go test ./internal/olddata -run Make -args -make REVISION
package olddata

// Package olddata tests that the current code can use stores of earlier versions. Its tests
// open such a store, and go on with the sessions, refresh tokens, passwords and API keys of
// its users. It has no code of its own.
//
// Each folder of testdata is named after the revision that wrote it. It has one folder for
// each installation: the store (a SQLite file, or a dump of PostgreSQL or Redis), the sealing
// key, and held.json with the head of the log and all secrets in the clear. The program of its
// revision writes a fixture once. A fixture is never edited:
//
//	go test ./internal/olddata -run Make -args -make REVISION
package olddata

package issuer

import "github.com/counterfoil/counterfoil"

// Proof is what a page that ended at c had.
func (i *Issuer) Proof(c counterfoil.Cursor) string { return i.proof(c) }

// RoomForClaims is what is not tried out.
func RoomForClaims(key *EncryptionKey) int { return roomFor(key) }

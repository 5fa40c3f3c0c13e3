package issuer

import "github.com/counterfoil/counterfoil/clients"

// RoomForClaims is what is not tried out.
func RoomForClaims(key *clients.EncryptionKey) int { return roomFor(key) }

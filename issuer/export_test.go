package issuer

// RoomForClaims is what is not tried out.
func RoomForClaims(key *EncryptionKey) int { return roomFor(key) }

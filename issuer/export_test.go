package issuer

import "github.com/counterfoil/counterfoil/clients"

// RoomForClaims is what is not tried out.
func RoomForClaims(key *clients.EncryptionKey) int { return roomFor(key) }

// PlanUpTo sets how far a plan counts.
func (i *Issuer) PlanUpTo(n int) { i.maxPlan = n }

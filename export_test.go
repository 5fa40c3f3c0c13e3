package counterfoil

import (
	"context"
	"time"
)

// NewVerifierWithBoot is NewVerifier with another clock that counts from the start
// of the machine.
func NewVerifierWithBoot(ctx context.Context, source Source, o Options, boot func() time.Duration) (*Verifier, error) {
	return newVerifier(ctx, source, o, boot)
}

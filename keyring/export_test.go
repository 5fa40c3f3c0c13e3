package keyring

// WearOut makes the JWE key in use look as if it had been used to its limit.
func (k *Keyring) WearOut() { k.sealing.Load().uses.Store(maxSealed) }

// Published are the secrets that are refused by name.
var Published = published

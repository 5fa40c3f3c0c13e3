package token

import "math/big"

// roca reports whether an RSA modulus looks like one from a flawed library (CVE-2017-15361):
// modulo every small prime it is a power of 65537. Such a modulus can be factored. The
// probability that a sound modulus looks like one is less than one in 2^27.
func roca(n *big.Int) bool {
	for _, p := range []int64{
		3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83,
		89, 97, 101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
	} {
		rest := new(big.Int).Mod(n, big.NewInt(p)).Int64()
		power, found := int64(1), false
		for range p {
			if power == rest {
				found = true
				break
			}
			power = power * 65537 % p
		}
		if !found {
			return false
		}
	}
	return true
}

// Package client embeds the browser client: an ES module without dependencies, which is also the npm
// package of this folder. [Module] returns it, for a server that pages import it from. The package
// does nothing else, and no program needs it to check a credential.
//
// What the module does is in docs/browser-client.md.
package client

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"slices"
	"sync"
)

//go:embed index.js
var module []byte

// Module returns the module.
func Module() []byte { return slices.Clone(module) }

// Tag returns the entity tag of the module (RFC 9110 section 8.8.3).
func Tag() string { return tag() }

var tag = sync.OnceValue(func() string {
	sum := sha256.Sum256(module)
	return `"` + hex.EncodeToString(sum[:16]) + `"`
})

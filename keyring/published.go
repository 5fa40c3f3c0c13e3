package keyring

import (
	"bytes"
	"strings"
)

// published are secrets that look random and that everybody can read. They were collected from
// the named documents and programs, one by one; no list of somebody else is copied here. The
// public lists of leaked secrets hold thousands more, of which nearly all are refused by
// [CheckSecret] without being named: they are short, repeat themselves, have a word of
// wellKnown, or encode such a text.
var published = []string{
	"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",                                           // RFC 7515 appendix A.1
	"hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg",                                                                                      // RFC 7520 section 3.5
	"09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",                                                                 // FastAPI's tutorial
	"3EK6FD+o0+c7tzBNVfjpMkNDi2yARAAKzQlk8O2IKoxQu4nF7EdAh8s3TwpHwrdWT6R",                                                              // Hasura's documentation
	"16f8c0ef4a5d391b26034086c628469d3f9f497f08163ab9b40137092f2909ef",                                                                 // LibreChat's .env.example
	"eaa5191f2914e30b9387fd84e254e4ba6fc51b4654968a9b0803b456a54b8418",                                                                 // the same
	"sk-9f73s3ljTXVcMT3Blb3ljTqtsKiGHXVcMT3BlbkFJLK7U",                                                                                 // a default of Dify
	"CyaFv0bwq2Eik0jdrKUtsA6bx3sDJeFV643R",                                                                                             // begins a default of Apache HertzBeat and Sureness
	"dKhaX0csgOCTlCxq20yhmUea6H6JIpSE2Rwp",                                                                                             // the same
	"======================BezKoder=Spring===========================",                                                                 // tutorials of Spring Boot
	"9a4f2c8d3b7a1e6f45c8a0b3f267d8b1d4e6f3c8a9d2b5f8e3a9c8b5f6v8a3d9",                                                                 // the same
	"cuAihCz53DZRjZwbsGcZJ2Ai6At+T142uphtJMsk7iQ=",                                                                                     // tutorials of jjwt
	"IxrAjDoa2FqElO7IhrSrUJELhUckePEPVpaePlS_Xaw",                                                                                      // tutorials of ASP.NET
	"db3OIsj+BXE9NZDy0t8W3TcNekrF+2d/1sFnWG4HnV8TZY30iTOdtVWJG8abWvB1GlOgJuQZdcF2Luqm/hccMw==",                                         // the same
	"401b09eab3c013d4ca54922bb802bec8fd5318192b0a75f201d8b3727429090fb337591abd3e44453b954555b7a0812e1081c39b740293f765eae731f5a65ed1", // the same
}

// isPublished reports whether secret holds one of published, as it stands or decoded.
func isPublished(secret []byte) bool {
	for _, known := range published {
		if strings.Contains(string(secret), strings.TrimRight(known, "=")) {
			return true
		}
		for _, decoded := range decodings(known) {
			if bytes.Contains(secret, decoded) {
				return true
			}
		}
	}
	return false
}

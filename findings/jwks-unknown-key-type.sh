#!/usr/bin/env bash
# One key of a newer type makes a whole JWK Set unreadable.
#
# Versions: go-jose 4.1.9, jwx 3.4.0, keyfunc 3.9.2; npm jose 6.2.18, jwks-rsa 3.2.2, node-jose 2.2.0.
#
# An issuer that prepares for ML-DSA publishes a key of type AKP beside the P-256 key that signs.
# Expected: the reader skips the key it does not know and verifies with the other one; RFC 7517
# section 5 says that it SHOULD.
# Seen: go-jose, jwx, keyfunc and node-jose return an error for the set, so no token is verified
# any more, old ones included. npm jose and jwks-rsa skip the key.
# For an issuer: the day a new type of key is published is the day such verifiers stop, long
# before the first token is signed with it.
# Exit status: 0 as described, 1 changed, 2 not to be tried here.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 2' INT TERM
cd "$tmp"

untried() {
	echo "not tried: $*" >&2
	exit 2
}

# npm_packages NAME@VERSION... installs into $tmp/node_modules.
npm_packages() {
	echo '{"private": true}' >package.json
	nice npm install --silent --no-audit --no-fund --no-package-lock "$@" >npm.log 2>&1 || untried "npm install $*"
}

# go_modules PATH@VERSION... makes a module in $tmp that can import them.
go_modules() {
	go mod init example.org/finding >go.log 2>&1
	export GOFLAGS=-mod=mod
	nice go get "$@" >>go.log 2>&1 || untried "go get $*"
}

# expect WANT prints standard input, which is what was seen, and compares it.
expect() {
	local seen
	seen=$(cat)
	printf '%s\n' "$seen"
	if [ "$seen" != "$1" ]; then
		printf '\nchanged; described is:\n%s\n' "$1"
		exit 1
	fi
	printf '\nas described\n'
}

token=eyJhbGciOiJFUzI1NiIsImtpZCI6ImEifQ.eyJzdWIiOiJ1In0.g6U7wYcyMcnCKtG8N-o-8V74flprzIgxNR5H8QhzBMiD3Dpu9hQNU1qp8IbrfxD6r41wxABFOXZgHU0GyUCVAQ
ec='{"kty":"EC","crv":"P-256","x":"kZUBI3p6RjWXLRMnfI4_kr5w9h_n5k30R-_dKNaTlFU","y":"mQVj6uivRskCDLFxmMJQwgMJRJ3STd_zpojoKxYkFn4","kid":"a","use":"sig","alg":"ES256"}'
akp=$(node -p 'JSON.stringify({kty: "AKP", alg: "ML-DSA-44", kid: "b", use: "sig", pub: Buffer.alloc(1312, 7).toString("base64url")})')
echo "{\"keys\":[$ec]}" >one.json
echo "{\"keys\":[$akp,$ec]}" >two.json

npm_packages jose@6.2.18 jwks-rsa@3.2.2 node-jose@2.2.0
cat >check.mjs <<'JS'
import fs from 'node:fs'
import http from 'node:http'
import { createPublicKey } from 'node:crypto'
import * as jose from 'jose'
import jwksRsa from 'jwks-rsa'
import nodeJose from 'node-jose'
const token = process.argv[2]
for (const file of ['one.json', 'two.json']) {
  const text = fs.readFileSync(file, 'utf8')
  const server = http.createServer((_, res) => res.end(text)).listen(0, '127.0.0.1')
  await new Promise(r => server.on('listening', r))
  const say = (name, p) => p.then(() => 'verified', () => 'error').then(r => console.log(file, name, r))
  await say('jose', jose.jwtVerify(token, jose.createLocalJWKSet(JSON.parse(text))))
  await say('jwks-rsa', jwksRsa({ jwksUri: `http://127.0.0.1:${server.address().port}/` }).getSigningKey('a')
    .then(k => jose.jwtVerify(token, createPublicKey(k.getPublicKey()))))
  await say('node-jose', nodeJose.JWK.asKeyStore(text).then(k => nodeJose.JWS.createVerify(k).verify(token)))
  server.close()
}
process.exit()
JS

go_modules github.com/go-jose/go-jose/v4@v4.1.9 github.com/lestrrat-go/jwx/v3@v3.4.0 \
	github.com/MicahParks/keyfunc/v3@v3.9.2 github.com/golang-jwt/jwt/v5@v5.3.1
cat >main.go <<'GO'
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/MicahParks/keyfunc/v3"
	jose "github.com/go-jose/go-jose/v4"
	gojwt "github.com/go-jose/go-jose/v4/jwt"
	golang "github.com/golang-jwt/jwt/v5"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jwt"
)

func main() {
	token := os.Args[1]
	for _, file := range []string{"one.json", "two.json"} {
		text, _ := os.ReadFile(file)
		say := func(name string, err error) {
			result := "verified"
			if err != nil {
				result = "error"
			}
			fmt.Println(file, name, result)
		}
		var set jose.JSONWebKeySet
		err := json.Unmarshal(text, &set)
		if err == nil {
			parsed, _ := gojwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256})
			err = parsed.Claims(&set, &gojwt.Claims{})
		}
		say("go-jose", err)
		keys, err := jwk.Parse(text)
		if err == nil {
			_, err = jwt.Parse([]byte(token), jwt.WithKeySet(keys))
		}
		say("jwx", err)
		find, err := keyfunc.NewJWKSetJSON(text)
		if err == nil {
			_, err = golang.Parse(token, find.Keyfunc)
		}
		say("keyfunc", err)
	}
}
GO
{ timeout 60 node check.mjs "$token"; nice go run . "$token"; } | expect 'one.json jose verified
one.json jwks-rsa verified
one.json node-jose verified
two.json jose verified
two.json jwks-rsa verified
two.json node-jose error
one.json go-jose verified
one.json jwx verified
one.json keyfunc verified
two.json go-jose error
two.json jwx error
two.json keyfunc error'

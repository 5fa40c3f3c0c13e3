#!/usr/bin/env bash
# A lifetime of 3600 is an hour, under four seconds, or 1970, by the library that signs.
#
# Versions: npm jsonwebtoken 9.0.3, fast-jwt 6.3.6, jose 6.2.18.
#
# Three libraries that are often exchanged for one another take the life of a token as a number.
# Expected: one unit, seconds, as in exp itself (RFC 7519 section 2, NumericDate).
# Seen: jsonwebtoken takes seconds; fast-jwt milliseconds; for jose the number is
# exp itself. As text, "3600" is 3.6 seconds rounded down for jsonwebtoken, milliseconds for
# fast-jwt, and an error for jose. "1h" is an hour for all.
# Nothing complains: the tokens are well formed, and are refused at the verifier.
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

npm_packages jsonwebtoken@9.0.3 fast-jwt@6.3.6 jose@6.2.18
cat >check.mjs <<'JS'
import jsonwebtoken from 'jsonwebtoken'
import { createSigner } from 'fast-jwt'
import { SignJWT, decodeJwt } from 'jose'
const key = Buffer.alloc(32, 1)
const signers = {
  jsonwebtoken: life => jsonwebtoken.sign({}, key, { expiresIn: life }),
  'fast-jwt': life => createSigner({ key, expiresIn: life })({}),
  jose: life => new SignJWT({}).setProtectedHeader({ alg: 'HS256' }).setIssuedAt().setExpirationTime(life).sign(key),
}
for (const asked of [3600, '3600', '1h']) {
  for (const [name, sign] of Object.entries(signers)) {
    let seen
    try {
      const { iat, exp } = decodeJwt(await sign(asked))
      const life = exp - iat // fast-jwt rounds 3.6 s to 3 or 4, by the moment
      seen = exp === 3600 ? 'exp is 3600, in 1970' : life === 3 || life === 4 ? 'lives 3 or 4 s' : `lives ${life} s`
    } catch (e) {
      seen = e.name
    }
    console.log(`${name}, ${JSON.stringify(asked)}: ${seen}`)
  }
}
JS
timeout 60 node check.mjs | expect 'jsonwebtoken, 3600: lives 3600 s
fast-jwt, 3600: lives 3 or 4 s
jose, 3600: exp is 3600, in 1970
jsonwebtoken, "3600": lives 3 or 4 s
fast-jwt, "3600": lives 3 or 4 s
jose, "3600": TypeError
jsonwebtoken, "1h": lives 3600 s
fast-jwt, "1h": lives 3600 s
jose, "1h": lives 3600 s'

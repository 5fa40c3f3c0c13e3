#!/usr/bin/env bash
# needle hands out a problem document as text, and a JWK Set too.
#
# Versions: npm needle 3.5.0; axios 1.21.1, superagent 10.4.2 beside it.
#
# An API answers errors as application/problem+json (RFC 9457), keys as application/jwk-set+json
# (RFC 7517 section 8.5). Types that end in +json are JSON (RFC 6839 section 3.1).
# Expected: a client that parses JSON bodies parses these: body.title is the title.
# Seen: needle parses a fixed list of types. The body is an object as long as the API succeeds, and a
# string when it does not, so body.title and body.status are undefined exactly in the
# handler of errors. axios and superagent parse both.
# For a program with needle: JSON.parse when the body is a string; the option parse: 'json' does not help.
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

npm_packages needle@3.5.0 axios@1.21.1 superagent@10.4.2
cat >check.mjs <<'JS'
import http from 'node:http'
import needle from 'needle'
import axios from 'axios'
import superagent from 'superagent'
const server = http.createServer((req, res) => {
  res.setHeader('Content-Type', req.url.slice(1))
  res.end('{"title":"Sign in first","status":401}')
})
await new Promise(done => server.listen(0, '127.0.0.1', done))
const clients = {
  needle: async url => (await needle('get', url)).body,
  axios: async url => (await axios.get(url)).data,
  superagent: async url => (await superagent.get(url)).body,
}
for (const type of ['application/json', 'application/problem+json', 'application/jwk-set+json']) {
  for (const [name, get] of Object.entries(clients)) {
    const body = await get(`http://127.0.0.1:${server.address().port}/${type}`)
    console.log(`${type}, ${name}: ${typeof body}, title ${body.title}`)
  }
}
server.close()
JS
timeout 60 node check.mjs | expect 'application/json, needle: object, title Sign in first
application/json, axios: object, title Sign in first
application/json, superagent: object, title Sign in first
application/problem+json, needle: string, title undefined
application/problem+json, axios: object, title Sign in first
application/problem+json, superagent: object, title Sign in first
application/jwk-set+json, needle: string, title undefined
application/jwk-set+json, axios: object, title Sign in first
application/jwk-set+json, superagent: object, title Sign in first'

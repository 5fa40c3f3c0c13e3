#!/usr/bin/env bash
# iron-session with a ttl of one minute deletes its own cookie.
#
# Version: npm iron-session 8.0.4.
#
# ttl is the life of a session in seconds.
# Expected: Max-Age is the ttl, so that the cookie and what is sealed in it end together.
# Seen: Max-Age is the ttl less 60, below zero if need be. With ttl 60 or less that tells the
# client to delete the cookie: every request begins a new session, without an error anywhere.
# With ttl 61 the session lives for one second.
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

npm_packages iron-session@8.0.4
cat >check.mjs <<'JS'
import http from 'node:http'
import { getIronSession } from 'iron-session'
for (const ttl of [3600, 61, 60, 30]) {
  const server = http.createServer(async (req, res) => {
    const session = await getIronSession(req, res, { password: 'p'.repeat(32), cookieName: 'sid', ttl, cookieOptions: { secure: false } })
    session.user = 'u'
    await session.save()
    res.end()
  }).listen(0, '127.0.0.1')
  await new Promise(r => server.on('listening', r))
  const answer = await fetch(`http://127.0.0.1:${server.address().port}/`)
  console.log(`ttl ${ttl}: ${/Max-Age=-?\d+/.exec(answer.headers.getSetCookie()[0])[0]}`)
  server.close()
}
process.exit()
JS
timeout 60 node check.mjs | expect 'ttl 3600: Max-Age=3540
ttl 61: Max-Age=1
ttl 60: Max-Age=0
ttl 30: Max-Age=-30'

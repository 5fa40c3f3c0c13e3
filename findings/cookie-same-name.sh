#!/usr/bin/env bash
# Two cookies of one name: half of the servers read the general one instead of the specific one.
#
# Versions: Python 3.11.2 http.cookies, Debian python3-starlette 0.26.1, python3-aiohttp 3.8.4,
# ruby-rack 2.2.22, haproxy 2.6.12; npm cookie 1.1.1, koa 2.16.4, @hapi/hapi 21.4.10.
#
# An application under /app and the site at / each have a cookie "sid". That is allowed: a cookie
# is its name, domain and path (RFC 6265 section 5.3). The client sends both, the longer path first
# (section 5.4), so here: Cookie: sid=app; sid=site.
# Expected: all pick the same one, and since only the order tells them apart, the first.
# Seen: Python's three and HAProxy take the last, Rack, cookie and koa the first, and hapi hands
# out a list where there was text. Behind HAProxy a Ruby service and the proxy's rule mean two
# different sessions. aiohttp as a client sends one of the two.
# For a server: choose a name that nothing else on the site uses, or refuse two.
# Exit status: 0 as described, 1 changed, 2 not to be tried here.
set -euo pipefail
tmp=$(mktemp -d)

cleanup() {
	local pids
	pids=$(jobs -p)
	if [ -n "$pids" ]; then
		kill $pids 2>/dev/null || :
		wait 2>/dev/null || :
	fi
	rm -rf "$tmp"
}
trap cleanup EXIT
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

# debian NAME=VERSION... unpacks packages of Debian bookworm, and those they need that are
# not installed, into $tmp/root. The system is not changed.
debian() {
	mkdir -p debs/partial root
	nice apt-get -qq -y --no-install-recommends --download-only -o Debug::NoLocking=1 \
		-o Dir::Cache::archives="$tmp/debs" install "$@" >apt.log 2>&1 || untried "apt-get install $* (apt-get update first?)"
	local deb
	for deb in debs/*.deb; do
		[ ! -e "$deb" ] || dpkg -x "$deb" root
	done
}

# use_unpacked makes programs find the unpacked packages before the system's.
use_unpacked() {
	local lib="$tmp"/root/usr/lib arch gems
	arch=$(uname -m)-linux-gnu
	gems=$(echo "$tmp"/root/usr/share/rubygems-integration/all/gems/*/lib | tr ' ' :)
	export PATH="$tmp/root/usr/bin:$tmp/root/usr/sbin:/usr/bin:/usr/sbin:$PATH" PYTHONWARNINGS=ignore
	export LD_LIBRARY_PATH="$lib/$arch:$lib/$arch/varnish:$lib:$tmp/root/lib/$arch"
	export PERL5LIB="$tmp/root/usr/share/perl5:$lib/$arch/perl5/5.36" PYTHONPATH="$lib/python3/dist-packages"
	export RUBYLIB="$lib/ruby/vendor_ruby:$lib/ruby/3.1.0:$lib/$arch/ruby/3.1.0:$gems"
}

# unpacked COMMAND... runs a command of the unpacked packages, or one that imports them.
unpacked() {
	(use_unpacked; exec timeout 120 "$@")
}

# serve COMMAND... & does so for a server: cleanup finds the process itself.
serve() {
	use_unpacked
	exec timeout 300 "$@"
}

free_port() {
	node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close() })'
}

# wait_for PORT waits, ten seconds at most, until something listens there.
wait_for() {
	local i
	for i in $(seq 100); do
		(exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return
		sleep 0.1
	done
	untried "nothing listens on port $1"
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

cat >cookie-server.mjs <<'JS'
// An HTTP server for the scripts about cookies: node cookie-server.mjs PORT
//   /set?c=COOKIE&c=COOKIE&to=URL  sends each c as a Set-Cookie field, then redirects if asked
//   /echo?who=NAME                 answers with the Cookie field; standard output has NAME: FIELD
import http from 'node:http'

http.createServer((req, res) => {
  const { pathname, searchParams: query } = new URL(req.url, 'http://any')
  res.setHeader('Content-Type', 'text/plain')
  if (pathname.endsWith('/set')) {
    res.setHeader('Set-Cookie', query.getAll('c'))
    if (query.has('to')) res.writeHead(302, { Location: query.get('to') })
    return res.end('set\n')
  }
  const seen = req.headers.cookie ?? '(none)'
  if (query.has('who')) console.log(`${query.get('who')}: ${seen.replace(/;$/, '')}`)
  res.end(seen + '\n')
}).listen(+process.argv[2], '127.0.0.1')
JS

debian python3-starlette=0.26.1-1+deb12u2 python3-aiohttp=3.8.4-1+deb12u2 ruby=1:3.1 ruby-rack=2.2.22-0+deb12u2 haproxy=2.6.12-1+deb12u4
npm_packages cookie@1.1.1 koa@2.16.4 @hapi/hapi@21.4.10
port=$(free_port)
cat >haproxy.cfg <<CFG
defaults
  mode http
  timeout connect 2s
  timeout client 5s
  timeout server 5s
frontend f
  bind 127.0.0.1:$port
  http-request return status 200 content-type text/plain lf-string "%[req.cook(sid)]"
CFG
serve haproxy -db -f haproxy.cfg >haproxy.log 2>&1 &
wait_for "$port"
cookies=$(free_port)
node cookie-server.mjs "$cookies" >server.log &
wait_for "$cookies"
cat >check.mjs <<'JS'
import * as cookie from 'cookie'
import Koa from 'koa'
import Hapi from '@hapi/hapi'
const [, , field, haproxy] = process.argv
const ask = async url => (await fetch(url, { headers: { cookie: field } })).text()
console.log('haproxy:', await ask(haproxy))
console.log('cookie:', cookie.parseCookie(field).sid)
const app = new Koa().use(ctx => { ctx.body = ctx.cookies.get('sid') })
const koa = await new Promise(done => { const server = app.listen(0, '127.0.0.1', () => done(server)) })
console.log('koa:', await ask(`http://127.0.0.1:${koa.address().port}`))
koa.close()
const hapi = Hapi.server({ port: 0, host: '127.0.0.1' })
hapi.route({ method: 'GET', path: '/', handler: request => JSON.stringify(request.state.sid) })
await hapi.start()
console.log('hapi:', await ask(hapi.info.uri))
await hapi.stop()
JS
cat >check.py <<'PY'
import sys
from http.cookies import SimpleCookie
from aiohttp.test_utils import make_mocked_request
from starlette.requests import cookie_parser
field = sys.argv[1]
print("http.cookies:", SimpleCookie(field)["sid"].value)
print("starlette:", cookie_parser(field)["sid"])
print("aiohttp:", make_mocked_request("GET", "/", headers={"Cookie": field}).cookies["sid"])
PY
field='sid=app; sid=site'
{
	timeout 60 node check.mjs "$field" "http://127.0.0.1:$port/"
	unpacked python3 check.py "$field"
	unpacked ruby --disable-gems -W0 -e 'require "rack"; puts "rack: " + Rack::Utils.parse_cookies("HTTP_COOKIE" => ARGV[0])["sid"]' "$field"
	unpacked python3 -c '
import asyncio, sys, aiohttp
async def main(base):
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as client:
        await client.get(base + "/set?c=sid%3Dsite%3B%20Path%3D%2F&c=sid%3Dapp%3B%20Path%3D%2Fapp")
        print("aiohttp client sends:", (await (await client.get(base + "/app/echo")).text()).strip())
asyncio.run(main(sys.argv[1]))' "http://127.0.0.1:$cookies"
} | expect 'haproxy: site
cookie: app
koa: app
hapi: ["app","site"]
http.cookies: site
starlette: site
aiohttp: site
rack: app
aiohttp client sends: sid=app'

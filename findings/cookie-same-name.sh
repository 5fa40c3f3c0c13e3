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
. "$(dirname "$(realpath "$0")")/setup.bash"

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
node "$here/cookie-server.mjs" "$cookies" >server.log &
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

#!/usr/bin/env bash
# maxAge: 3600 on a session cookie is an hour or four seconds, also within one framework.
#
# Versions: npm express 4.22.3, express-session 1.19.0, cookie-session 2.1.1, koa 2.16.4 with
# koa-session 6.4.0, fastify 5.12.8 with @fastify/cookie 11.1.5, @fastify/session 11.1.3 and
# @fastify/secure-session 8.4.0, @hapi/hapi 21.4.10 with @hapi/yar 11.0.3 (ttl).
#
# Expected: one unit, seconds, as in the attribute Max-Age of the same name, and that attribute
# in the answer.
# Seen: seconds for @fastify/cookie and @fastify/secure-session, milliseconds for all others,
# @fastify/session too, which is used beside @fastify/cookie and takes the same option.
# express-session, cookie-session, koa-session and @fastify/session never write Max-Age: their
# maxAge becomes an Expires by the server's clock, so a client whose clock is ahead by the
# cookie's life drops it at once.
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

npm_packages express@4.22.3 express-session@1.19.0 cookie-session@2.1.1 koa@2.16.4 koa-session@6.4.0 fastify@5.12.8 \
	@fastify/cookie@11.1.5 @fastify/session@11.1.3 @fastify/secure-session@8.4.0 @hapi/hapi@21.4.10 @hapi/yar@11.0.3
cat >check.cjs <<'JS'
const maxAge = 3600, secret = 's'.repeat(32)

const listen = app => new Promise(done => { const server = app.listen(0, '127.0.0.1', () => done(server)) })

async function report(name, port) {
  const [cookie] = (await fetch(`http://127.0.0.1:${port}/`)).headers.getSetCookie()
  const age = /max-age=(\d+)/i.exec(cookie), end = /expires=([^;]+)/i.exec(cookie)
  const left = end && (Date.parse(end[1]) - Date.now()) / 1000
  console.log(`${name}: ${age ? `Max-Age=${age[1]}` : 'no Max-Age'}, ${end ? `Expires in ${left > 60 ? 'an hour' : 'four seconds or less'}` : 'no Expires'}`)
}
async function express(name, ...handlers) {
  const app = require('express')()
  handlers.forEach(h => app.use(h))
  const server = await listen(app)
  await report(name, server.address().port)
  server.close()
}
async function fastify(name, plugins, handler) {
  const app = require('fastify')()
  for (const [plugin, options] of plugins) await app.register(require(plugin), options)
  app.get('/', handler)
  await app.listen({ port: 0, host: '127.0.0.1' })
  await report(name, app.server.address().port)
  await app.close()
}
const remember = (req, res) => { req.session.user = 'u'; res.end() }

async function main() {
  await express('express res.cookie', (req, res) => res.cookie('sid', '1', { maxAge }).end())
  await express('express-session', require('express-session')({ secret, resave: false, saveUninitialized: true, cookie: { maxAge } }), remember)
  await express('cookie-session', require('cookie-session')({ secret, maxAge }), remember)

  const koa = new (require('koa'))()
  koa.keys = [secret]
  const koaSession = require('koa-session')
  koa.use((koaSession.default ?? koaSession)({ maxAge }, koa))
  koa.use(ctx => { ctx.session.user = 'u'; ctx.body = '' })
  const server = await listen(koa)
  await report('koa-session', server.address().port)
  server.close()

  await fastify('@fastify/cookie', [['@fastify/cookie']], (req, reply) => reply.setCookie('sid', '1', { maxAge }).send(''))
  await fastify('@fastify/session', [['@fastify/cookie'], ['@fastify/session', { secret, cookie: { maxAge, secure: false } }]],
    (req, reply) => { req.session.user = 'u'; reply.send('') })
  await fastify('@fastify/secure-session', [['@fastify/secure-session', { key: Buffer.alloc(32, 1), cookie: { maxAge } }]],
    (req, reply) => { req.session.set('user', 'u'); reply.send('') })

  const hapi = require('@hapi/hapi').server({ port: 0, host: '127.0.0.1' })
  await hapi.register({ plugin: require('@hapi/yar'), options: { cookieOptions: { password: secret, isSecure: false, ttl: maxAge } } })
  hapi.route({ method: 'GET', path: '/', handler: request => { request.yar.set('user', 'u'); return '' } })
  await hapi.start()
  await report('@hapi/yar', hapi.info.port)
  await hapi.stop()
}
main()
JS
timeout 60 node --no-warnings check.cjs 2>check.log | expect 'express res.cookie: Max-Age=3, Expires in four seconds or less
express-session: no Max-Age, Expires in four seconds or less
cookie-session: no Max-Age, Expires in four seconds or less
koa-session: no Max-Age, Expires in four seconds or less
@fastify/cookie: Max-Age=3600, no Expires
@fastify/session: no Max-Age, Expires in four seconds or less
@fastify/secure-session: Max-Age=3600, no Expires
@hapi/yar: Max-Age=3, Expires in four seconds or less'

#!/usr/bin/env bash
# "authorization: bearer TOKEN" is nobody to some middleware for Bearer tokens.
#
# Versions: npm express-bearer-token 3.0.0, @fastify/bearer-auth 10.1.3, passport-http-bearer 1.0.1,
# express 4.22.3, fastify 5.12.8; jwx 3.4.0, golang-jwt 5.3.1; Debian haproxy 2.6.12.
#
# The name of a scheme is case-insensitive (RFC 9110 section 11.1), and servers answer
# "token_type": "bearer" (RFC 6749 section 5.1 says that this value is case-insensitive as well), which clients
# then put in front of the token.
# Expected: Bearer, bearer and BEARER are one scheme.
# Seen: express-bearer-token finds no token in a request with "bearer", so it goes on as anonymous.
# @fastify/bearer-auth answers 401 "invalid authorization header". passport-http-bearer, jwx, golang-jwt and
# HAProxy accept all three.
# For a client: write "Bearer", whatever token_type was.
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

# go_modules PATH@VERSION... makes a module in $tmp that can import them.
go_modules() {
	go mod init example.org/finding >go.log 2>&1
	export GOFLAGS=-mod=mod
	nice go get "$@" >>go.log 2>&1 || untried "go get $*"
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

npm_packages express-bearer-token@3.0.0 @fastify/bearer-auth@10.1.3 passport@0.7.0 passport-http-bearer@1.0.1 express@4.22.3 fastify@5.12.8
debian haproxy=2.6.12-1+deb12u4
go_modules github.com/lestrrat-go/jwx/v3@v3.4.0 github.com/golang-jwt/jwt/v5@v5.3.1
port=$(free_port)
cat >haproxy.cfg <<CFG
defaults
  mode http
  timeout connect 2s
  timeout client 5s
  timeout server 5s
frontend f
  bind 127.0.0.1:$port
  http-request return status 200 content-type text/plain string accepted if { http_auth_bearer -m str TOKEN }
  http-request return status 401
CFG
serve haproxy -db -f haproxy.cfg >haproxy.log 2>&1 &
wait_for "$port"
cat >check.cjs <<'JS'
const express = require('express'), passport = require('passport'), Bearer = require('passport-http-bearer')
passport.use(new Bearer.Strategy((token, done) => done(null, { token })))
async function main() {
  const app = express()
  app.get('/express-bearer-token', require('express-bearer-token')(), (req, res) => res.end(req.token ? 'accepted' : 'no token found'))
  app.get('/passport-http-bearer', passport.authenticate('bearer', { session: false }), (req, res) => res.end('accepted'))
  const server = await new Promise(done => { const s = app.listen(0, '127.0.0.1', () => done(s)) })
  const fastify = require('fastify')()
  await fastify.register(require('@fastify/bearer-auth'), { keys: ['TOKEN'] })
  fastify.get('/fastify-bearer-auth', () => 'accepted')
  await fastify.listen({ port: 0, host: '127.0.0.1' })
  const urls = {
    'express-bearer-token': `http://127.0.0.1:${server.address().port}/express-bearer-token`,
    '@fastify/bearer-auth': `http://127.0.0.1:${fastify.server.address().port}/fastify-bearer-auth`,
    'passport-http-bearer': `http://127.0.0.1:${server.address().port}/passport-http-bearer`,
    haproxy: `http://127.0.0.1:${process.argv[2]}/`,
  }
  for (const scheme of ['Bearer', 'bearer', 'BEARER']) {
    for (const [name, url] of Object.entries(urls)) {
      const res = await fetch(url, { headers: { authorization: `${scheme} TOKEN` } })
      console.log(`${scheme}, ${name}: ${res.status} ${res.status === 200 ? await res.text() : ''}`.trim())
    }
  }
  process.exit()
}
main()
JS
cat >main.go <<'GO'
package main

import (
	"fmt"
	"net/http"

	"github.com/golang-jwt/jwt/v5/request"
	"github.com/lestrrat-go/jwx/v3/jwt"
)

func main() {
	for _, scheme := range []string{"Bearer", "bearer", "BEARER"} {
		r, _ := http.NewRequest("GET", "http://any/", nil)
		r.Header.Set("Authorization", scheme+" eyJhbGciOiJub25lIn0.e30.")
		_, err := request.BearerExtractor{}.ExtractToken(r)
		fmt.Printf("%s, golang-jwt: found %v\n", scheme, err == nil)
		_, err = jwt.ParseRequest(r, jwt.WithVerify(false))
		fmt.Printf("%s, jwx: found %v\n", scheme, err == nil)
	}
}
GO
{ timeout 60 node check.cjs "$port"; nice go run .; } | expect 'Bearer, express-bearer-token: 200 accepted
Bearer, @fastify/bearer-auth: 200 accepted
Bearer, passport-http-bearer: 200 accepted
Bearer, haproxy: 200 accepted
bearer, express-bearer-token: 200 no token found
bearer, @fastify/bearer-auth: 401
bearer, passport-http-bearer: 200 accepted
bearer, haproxy: 200 accepted
BEARER, express-bearer-token: 200 no token found
BEARER, @fastify/bearer-auth: 401
BEARER, passport-http-bearer: 200 accepted
BEARER, haproxy: 200 accepted
Bearer, golang-jwt: found true
Bearer, jwx: found true
bearer, golang-jwt: found true
bearer, jwx: found true
BEARER, golang-jwt: found true
BEARER, jwx: found true'

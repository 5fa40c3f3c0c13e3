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
. "$(dirname "$(realpath "$0")")/setup.bash"

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

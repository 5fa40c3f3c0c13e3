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
. "$(dirname "$(realpath "$0")")/setup.bash"

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

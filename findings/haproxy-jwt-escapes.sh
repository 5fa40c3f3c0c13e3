#!/usr/bin/env bash
# HAProxy finds no issuer in a token whose JSON escapes the slashes of a URL.
#
# Version: Debian haproxy 2.6.12.
#
# JSON allows "\/" for "/" (RFC 8259 section 7), and PHP's json_encode writes it unless told not to,
# so iss arrives as "https:\/\/auth.example.com". "\u00e9" and "\u20ac" are valid as well.
# Expected: jwt_payload_query gives the text that the escapes stand for.
# Seen: with "\/" anywhere in it, the claim is empty, as if it were absent. So it is with "\u20ac".
# "\u00e9" becomes the single byte E9, which is not UTF-8. Quotes, backslashes and tabs are read well.
# For an issuer: write slashes as they are, and letters as UTF-8.
. "$(dirname "$(realpath "$0")")/setup.bash"

debian haproxy=2.6.12-1+deb12u4
port=$(free_port)
cat >haproxy.cfg <<CFG
defaults
  mode http
  timeout connect 2s
  timeout client 5s
  timeout server 5s
frontend f
  bind 127.0.0.1:$port
  http-request set-var(txn.iss) http_auth_bearer,jwt_payload_query('\$.iss')
  http-request return status 200 content-type text/plain lf-string "%[var(txn.iss),hex]" if { var(txn.iss) -m found }
  http-request return status 200 content-type text/plain string absent
CFG
serve haproxy -db -f haproxy.cfg >haproxy.log 2>&1 &
wait_for "$port"
cat >ask.mjs <<'JS'
const b64 = text => Buffer.from(text).toString('base64url')
for (const iss of [String.raw`https://a.example`, String.raw`https:\/\/a.example`, String.raw`\"a\\b\t`, String.raw`\u0041`, String.raw`\u00e9`, 'é', String.raw`\u20ac`, '€']) {
  const token = `${b64('{"alg":"HS256"}')}.${b64(`{"iss":"${iss}"}`)}.${b64('signature')}`
  const seen = await (await fetch(process.argv[2], { headers: { authorization: `Bearer ${token}` } })).text()
  const want = Buffer.from(JSON.parse(`"${iss}"`)).toString('hex').toUpperCase()
  console.log(`"${iss}"`, '->', seen === want ? 'read well' : seen)
}
JS
timeout 60 node ask.mjs "http://127.0.0.1:$port/" | expect '"https://a.example" -> read well
"https:\/\/a.example" -> absent
"\"a\\b\t" -> read well
"\u0041" -> read well
"\u00e9" -> E9
"é" -> read well
"\u20ac" -> absent
"€" -> read well'

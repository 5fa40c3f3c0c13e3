#!/usr/bin/env bash
# HAProxy reads exp as 1.79597e+09, and an audience that is a list as nothing.
#
# Version: Debian haproxy 2.6.12.
#
# A proxy that verifies tokens itself compares exp with the time and looks at aud.
# Expected: jwt_payload_query('$.exp') is the number as it stands in the token, and '$.aud' of a
# list is either the list or an error.
# Seen: a number comes with six digits, so exp is off by up to 83 minutes when it is logged, passed on
# as a header or compared; with the type named, jwt_payload_query('$.exp','int'), it is exact. '$.aud' is the audience if it is a string, and empty if it is a list, also of one
# ('$.aud[0]' works then, and not for a string). Both spellings are valid (RFC 7519 section 4.1.3).
# For a verifier: name the type of every number; ask for both spellings of aud.
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
  http-request set-var(txn.token) http_auth_bearer
  http-request set-var(txn.exp) var(txn.token),jwt_payload_query('\$.exp')
  http-request set-var(txn.exp_int) var(txn.token),jwt_payload_query('\$.exp','int')
  http-request set-var(txn.aud) var(txn.token),jwt_payload_query('\$.aud')
  http-request set-var(txn.aud_0) var(txn.token),jwt_payload_query('\$.aud[0]')
  http-request return status 200 content-type text/plain lf-string "exp=[%[var(txn.exp)]] exp,int=[%[var(txn.exp_int)]] aud=[%[var(txn.aud)]] aud[0]=[%[var(txn.aud_0)]]"
CFG
serve haproxy -db -f haproxy.cfg >haproxy.log 2>&1 &
wait_for "$port"
cat >ask.mjs <<'JS'
import { createHmac } from 'node:crypto'
const b64 = text => Buffer.from(text).toString('base64url')
for (const payload of ['{"exp":1795973190,"aud":"api"}', '{"exp":1795973190,"aud":["api"]}', '{"exp":1795973190,"aud":["api","web"]}']) {
  const input = `${b64('{"alg":"HS256","typ":"JWT"}')}.${b64(payload)}`
  const token = `${input}.${createHmac('sha256', 'k'.repeat(32)).update(input).digest('base64url')}`
  const res = await fetch(process.argv[2], { headers: { authorization: `Bearer ${token}` } })
  console.log(payload, '->', await res.text())
}
JS
timeout 60 node ask.mjs "http://127.0.0.1:$port/" | expect '{"exp":1795973190,"aud":"api"} -> exp=[1.79597e+09] exp,int=[1795973190] aud=[api] aud[0]=[]
{"exp":1795973190,"aud":["api"]} -> exp=[1.79597e+09] exp,int=[1795973190] aud=[] aud[0]=[api]
{"exp":1795973190,"aud":["api","web"]} -> exp=[1.79597e+09] exp,int=[1795973190] aud=[] aud[0]=[api]'

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

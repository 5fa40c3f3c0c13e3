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

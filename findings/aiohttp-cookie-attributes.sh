#!/usr/bin/env bash
# aiohttp loses a session cookie that is Partitioned, and makes a cookie of Priority.
#
# Versions: Debian python3-aiohttp 3.8.4 with Python 3.11.2; python3-requests 2.28.1 beside it.
#
# A server that is embedded in other sites sets its cookie with Partitioned; some frameworks add
# Priority=High.
# Expected: a client ignores attributes that it does not know (RFC 6265 section 5.2, last step).
# Seen: with Partitioned the whole cookie is dropped without an error, so every request after the
# login is anonymous. With Priority=High the client sends a second cookie named Priority.
# requests keeps both cookies and sends no other. aiohttp reads Set-Cookie with http.cookies, which
# knows a fixed list of attributes.
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

# unpacked COMMAND... runs a command of the unpacked packages, or one that imports them.
unpacked() {
	(use_unpacked; exec timeout 120 "$@")
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

debian python3-aiohttp=3.8.4-1+deb12u2 python3-requests=2.28.1+dfsg-1
port=$(free_port)
node cookie-server.mjs "$port" >server.log &
wait_for "$port"
cat >check.py <<'PY'
import asyncio, sys, urllib.parse
import aiohttp, requests
base = f"http://127.0.0.1:{sys.argv[1]}"
cookies = ["sid=1; Path=/; HttpOnly", "sid=1; Path=/; HttpOnly; Partitioned", "sid=1; Path=/; Priority=High; HttpOnly"]
async def main():
    for cookie in cookies:
        url = f"{base}/set?c={urllib.parse.quote(cookie)}"
        jar = aiohttp.CookieJar(unsafe=True)  # takes cookies from an address, here 127.0.0.1
        async with aiohttp.ClientSession(cookie_jar=jar) as client:
            await (await client.get(url)).text()
            print(f"aiohttp  {cookie} -> {(await (await client.get(base + '/echo')).text()).strip()}")
        with requests.Session() as client:
            client.get(url)
            print(f"requests {cookie} -> {client.get(base + '/echo').text.strip()}")
asyncio.run(main())
PY
unpacked python3 check.py "$port" | expect 'aiohttp  sid=1; Path=/; HttpOnly -> sid=1
requests sid=1; Path=/; HttpOnly -> sid=1
aiohttp  sid=1; Path=/; HttpOnly; Partitioned -> (none)
requests sid=1; Path=/; HttpOnly; Partitioned -> sid=1
aiohttp  sid=1; Path=/; Priority=High; HttpOnly -> Priority=High; sid=1
requests sid=1; Path=/; Priority=High; HttpOnly -> sid=1'

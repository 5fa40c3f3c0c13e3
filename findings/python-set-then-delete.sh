#!/usr/bin/env bash
# Python keeps a cookie that the same answer sets and then deletes.
#
# Versions: Python 3.11.2 http.cookiejar, by way of Debian python3-requests 2.28.1 and python3-httpx
# 0.23.3; curl 7.88.1 and libhttp-cookiejar-perl 0.014 beside them.
#
# Middleware begins a session, the handler then ends it (a login that is refused, a logout that
# renewed the cookie first): the answer has two Set-Cookie fields of one name, the second expired.
# Expected: fields count in their order (RFC 6265 section 5.3), so nothing is left.
# Seen: urllib, requests and httpx send the first cookie from then on: http.cookiejar removes
# the expired ones while it reads the answer, and stores the others afterwards. curl and
# HTTP::CookieJar have no cookie. In an answer of its own the deletion works everywhere.
# For a server: send each name once in an answer.
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

debian python3-requests=2.28.1+dfsg-1 python3-httpx=0.23.3-1 curl=7.88.1-10+deb12u14 libhttp-cookiejar-perl=0.014-1
port=$(free_port)
node cookie-server.mjs "$port" >server.log &
wait_for "$port"
export BASE="http://127.0.0.1:$port"
cat >check.py <<'PY'
import os, sys, urllib.request
import httpx, requests
urls = sys.argv[1:]
opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
clients = {"urllib": lambda url: opener.open(url).read().decode(),
           "requests": lambda url, c=requests.Session(): c.get(url).text,
           "httpx": lambda url, c=httpx.Client(): c.get(url).text}
for name, get in clients.items():
    print(f"  {name}: {[get(url) for url in urls][-1].strip()}")
PY
set='c=sid%3D1%3B%20Path%3D%2F' gone='c=sid%3D%3B%20Path%3D%2F%3B%20Max-Age%3D0'
attempt() {
	echo "$1"
	shift
	unpacked python3 check.py "$@"
	echo "  curl: $(unpacked curl -s -b '' "$@" | tail -1)"
	echo "  HTTP::CookieJar: $(unpacked perl -MHTTP::Tiny -MHTTP::CookieJar -e '
		my $client = HTTP::Tiny->new(cookie_jar => HTTP::CookieJar->new); my $text;
		$text = $client->get($_)->{content} for @ARGV; print $text' "$@")"
}
{
	attempt 'two answers' "$BASE/set?$set" "$BASE/set?$gone" "$BASE/echo"
	attempt 'one answer' "$BASE/set?$set&$gone" "$BASE/echo"
} | expect 'two answers
  urllib: (none)
  requests: (none)
  httpx: (none)
  curl: (none)
  HTTP::CookieJar: (none)
one answer
  urllib: sid=1
  requests: sid=1
  httpx: sid=1
  curl: (none)
  HTTP::CookieJar: (none)'

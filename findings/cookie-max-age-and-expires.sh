#!/usr/bin/env bash
# Max-Age and Expires that disagree: three clients let the wrong one win.
#
# Versions: Debian curl 7.88.1, wget 1.21.3, Python 3.11.2 http.cookiejar, libhttp-cookies-perl 6.10,
# libhttp-cookiejar-perl 0.014, ruby-http-cookie 1.0.5, aria2 1.36.0, w3m 0.5.3; npm tough-cookie 5.1.2.
#
# The two disagree whenever the server's clock is not the client's, or a proxy rewrote one of them.
# Expected: Max-Age wins, in whatever order they stand (RFC 6265 section 5.3, step 3): "long" and
# "long2" are kept, "short" and "short2" are not.
# Seen: wget keeps none of the four: each past time counts. In w3m the last of the two wins, and
# Max-Age=0 counts for nothing. Perl's HTTP::Cookies does the opposite of the rule, since it reads
# Expires alone.
# For a server: send both only if both say the same.
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

debian curl=7.88.1-10+deb12u14 wget=1.21.3-1+deb12u1 libwww-perl=6.68-1 libhttp-cookies-perl=6.10-1 libhttp-cookiejar-perl=0.014-1 \
	ruby=1:3.1 ruby-http-cookie=1.0.5-1 w3m=0.5.3+git20230121-2 aria2=1.36.0-1
npm_packages tough-cookie@5.1.2
port=$(free_port)
node cookie-server.mjs "$port" >>seen &
wait_for "$port"
export HOME="$tmp"

cat >ask.py <<'PY'
import sys, urllib.request
client = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
client.open(sys.argv[1]).read()
PY
cat >ask.rb <<'RB'
require "net/http"
require "http/cookie_jar"
jar, set = HTTP::CookieJar.new, URI(ARGV[0])
answer = Net::HTTP.get_response(set)
answer.get_fields("set-cookie").each { |c| jar.parse(c, set) }
echo = set + answer["location"]
header = HTTP::Cookie.cookie_value(jar.cookies(echo))
Net::HTTP.start(echo.host, echo.port) { |http| http.get(echo.request_uri, header.empty? ? {} : { "Cookie" => header }) }
RB
cat >ask.mjs <<'JS'
import { CookieJar } from 'tough-cookie'
const jar = new CookieJar(), url = process.argv[2]
const answer = await fetch(url, { redirect: 'manual' })
for (const c of answer.headers.getSetCookie()) await jar.setCookie(c, url)
const echo = new URL(answer.headers.get('location'), url)
await fetch(echo, { headers: { cookie: await jar.getCookieString(echo.href) } })
JS

# ask NAME COMMAND... runs a client on an answer that sets four cookies and sends it on.
ask() {
	local name=$1 url
	shift
	url=$(node -e '
		const [port, name] = process.argv.slice(1), q = encodeURIComponent
		const past = "Expires=Thu, 01 Jan 2015 00:00:00 GMT", future = "Expires=Thu, 01 Jan 2037 00:00:00 GMT"
		const set = [`long=1; Path=/; ${past}; Max-Age=1000`, `long2=1; Path=/; Max-Age=1000; ${past}`,
			`short=1; Path=/; ${future}; Max-Age=0`, `short2=1; Path=/; Max-Age=0; ${future}`]
		console.log(`http://127.0.0.1:${port}/set?${set.map(c => "c=" + q(c)).join("&")}&to=${q("/echo?who=" + q(name))}`)' "$port" "$name")
	unpacked "$@" "$url" >client.log 2>&1 </dev/null || :
}
ask curl curl -s -L -b ''
ask Python python3 ask.py
ask HTTP::CookieJar perl -MHTTP::Tiny -MHTTP::CookieJar -e 'HTTP::Tiny->new(cookie_jar => HTTP::CookieJar->new)->get($ARGV[0])'
ask http-cookie ruby --disable-gems -W0 ask.rb
ask tough-cookie node ask.mjs
ask aria2 aria2c -q -o aria2.out
ask wget wget -q -O /dev/null
ask w3m w3m -cookie -o accept_cookie=1 -dump
ask HTTP::Cookies perl -MLWP::UserAgent -MHTTP::Cookies -e 'LWP::UserAgent->new(cookie_jar => HTTP::Cookies->new)->get($ARGV[0])'
sed -E 's/=1//g; s/; ?/, /g; s/long2, long$/long, long2/' seen | expect 'curl: long, long2
Python: long, long2
HTTP::CookieJar: long, long2
http-cookie: long, long2
tough-cookie: long, long2
aria2: long, long2
wget: (none)
w3m: long, short, short2
HTTP::Cookies: short, short2'

#!/usr/bin/env bash
# Deleting a cookie: no single spelling deletes it in every client.
#
# Versions: Debian curl 7.88.1, wget 1.21.3, Python 3.11.2 http.cookiejar, libhttp-cookies-perl 6.10,
# libhttp-cookiejar-perl 0.014, ruby-http-cookie 1.0.5, lynx 2.9.0dev.12, elinks 0.13.2, links 2.28.
#
# A server signs a user out by setting the session's cookie again, already expired.
# Expected: with Max-Age=0, or with an Expires in the past, the client sends no such cookie
# (RFC 6265 sections 5.2.1, 5.2.2 and 5.3).
# Seen: Perl's HTTP::Cookies does not read Max-Age: it goes on sending the name with an empty value.
# elinks neither reads Max-Age nor takes second 0 of 1970 for a date; one second later works.
# links deletes nothing: it ignores the expired cookie and sends the old session.
# For a server: send Max-Age=0 and Expires=Thu, 01 Jan 1970 00:00:01 GMT, treat an empty value
# as no cookie, and end the session in the store: some clients come back with it.
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

debian curl=7.88.1-10+deb12u14 wget=1.21.3-1+deb12u1 libwww-perl=6.68-1 libhttp-cookies-perl=6.10-1 libhttp-cookiejar-perl=0.014-1 \
	ruby=1:3.1 ruby-http-cookie=1.0.5-1 lynx=2.9.0dev.12-1 elinks=0.13.2-1+b4 links=2.28-1+b2
port=$(free_port)
node cookie-server.mjs "$port" >>seen &
wait_for "$port"
echo 'ACCEPT_ALL_COOKIES:TRUE' >lynx.cfg
export HOME="$tmp"

cat >ask.py <<'PY'
import sys, urllib.request
urllib.request.build_opener(urllib.request.HTTPCookieProcessor()).open(sys.argv[1]).read()
PY
cat >ask.rb <<'RB'
require "net/http"
require "http/cookie_jar"
jar, url = HTTP::CookieJar.new, URI(ARGV[0])
while url
  header = HTTP::Cookie.cookie_value(jar.cookies(url))
  answer = Net::HTTP.start(url.host, url.port) { |http| http.get(url.request_uri, header.empty? ? {} : { "Cookie" => header }) }
  (answer.get_fields("set-cookie") || []).each { |c| jar.parse(c, url) }
  url = answer["location"] && url + answer["location"]
end
RB

# ask NAME COMMAND... runs a client on a chain of answers: set, delete, echo.
ask() {
	local name=$1 url
	shift
	url=$(node -e '
		const [port, name, gone] = process.argv.slice(1), q = encodeURIComponent
		const last = "/set?c=" + q("sid=; Path=/; " + gone) + "&to=" + q("/echo?who=" + q(name))
		console.log(`http://127.0.0.1:${port}/set?c=${q("sid=1; Path=/")}&to=${q(last)}`)' "$port" "$name" "$gone")
	unpacked "$@" "$url" >client.log 2>&1 </dev/null || :
}
for gone in 'Max-Age=0' 'Expires=Thu, 01 Jan 1970 00:00:00 GMT' 'Expires=Thu, 01 Jan 1970 00:00:01 GMT'; do
	echo "$gone" >>seen
	ask curl curl -s -L -b ''
	ask wget wget -q -O /dev/null
	ask Python python3 ask.py
	ask HTTP::Cookies perl -MLWP::UserAgent -MHTTP::Cookies -e 'LWP::UserAgent->new(cookie_jar => HTTP::Cookies->new)->get($ARGV[0])'
	ask HTTP::CookieJar perl -MHTTP::Tiny -MHTTP::CookieJar -e 'HTTP::Tiny->new(cookie_jar => HTTP::CookieJar->new)->get($ARGV[0])'
	ask http-cookie ruby --disable-gems -W0 ask.rb
	ask lynx lynx -cfg="$tmp/lynx.cfg" -accept_all_cookies -dump
	ask elinks elinks -no-home 1 -dump
	ask links links -dump
done
expect 'Max-Age=0
curl: (none)
wget: (none)
Python: (none)
HTTP::Cookies: sid=
HTTP::CookieJar: (none)
http-cookie: (none)
lynx: (none)
elinks: sid=
links: sid=1
Expires=Thu, 01 Jan 1970 00:00:00 GMT
curl: (none)
wget: (none)
Python: (none)
HTTP::Cookies: (none)
HTTP::CookieJar: (none)
http-cookie: (none)
lynx: (none)
elinks: sid=
links: sid=1
Expires=Thu, 01 Jan 1970 00:00:01 GMT
curl: (none)
wget: (none)
Python: (none)
HTTP::Cookies: (none)
HTTP::CookieJar: (none)
http-cookie: (none)
lynx: (none)
elinks: (none)
links: sid=1' <seen

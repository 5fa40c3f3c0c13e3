#!/usr/bin/env bash
# A cookie file of curl loses its session in wget, aria2, Python and Perl, and the other way round.
#
# Versions: Debian curl 7.88.1, wget 1.21.3, aria2 1.36.0, Python 3.11.2 http.cookiejar,
# libhttp-cookies-perl 6.10, ruby-http-cookie 1.0.5.
#
# All of them read and write "Netscape HTTP Cookie File". A login is scripted with one and used with
# another. The file has four cookies: HttpOnly or not, with Max-Age or for the session.
# Expected: the reader sends all four.
# Seen: curl marks HttpOnly by a prefix of the line (#HttpOnly_), which wget and aria2 take for a
# comment. It writes 0 as the end of a session cookie, which Python and Perl take for 1970, also with
# ignore_discard and ignore_expires. wget writes the port into the domain when it is not 80, so
# curl, aria2, Python and Perl find none of its cookies of http://127.0.0.1:PORT. Ruby reads all.
# A session's cookie is mostly HttpOnly and without an end: exactly the one that is lost.
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

debian curl=7.88.1-10+deb12u14 wget=1.21.3-1+deb12u1 aria2=1.36.0-1 libwww-perl=6.68-1 libhttp-cookies-perl=6.10-1 \
	ruby=1:3.1 ruby-http-cookie=1.0.5-1
port=$(free_port)
node cookie-server.mjs "$port" >server.log &
wait_for "$port"
echo_url="http://127.0.0.1:$port/echo"
set_url="http://127.0.0.1:$port/set?$(node -p '
	["plain=1; Path=/", "plain_lasts=1; Path=/; Max-Age=1000", "http=1; Path=/; HttpOnly", "http_lasts=1; Path=/; HttpOnly; Max-Age=1000"]
		.map(c => "c=" + encodeURIComponent(c)).join("&")')"
cat >load.py <<'PY'
import sys, http.cookiejar, urllib.request
jar = http.cookiejar.MozillaCookieJar(sys.argv[1])
jar.load(ignore_discard=True, ignore_expires=True)
print(urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar)).open(sys.argv[2]).read().decode(), end="")
PY
cat >load.rb <<'RB'
require "http/cookie_jar"
jar = HTTP::CookieJar.new
jar.load(ARGV[0], format: :cookiestxt)
names = jar.cookies(URI(ARGV[1])).map(&:name)
puts names.empty? ? "(none)" : names.join("; ")
RB
names() { tr -d ' \n' | sed 's/=1//g; s/;$//' | tr ';' '\n' | sort | paste -sd' '; }
load() {
	echo "$1, read by"
	echo "  curl: $(unpacked curl -s -b "$1" "$echo_url" | names)"
	echo "  wget: $(unpacked wget -q -O - --load-cookies "$1" "$echo_url" | names)"
	echo "  aria2: $(unpacked aria2c -q --load-cookies="$1" -o "$1.aria2" "$echo_url"; names <"$1.aria2")"
	echo "  Python: $(unpacked python3 load.py "$1" "$echo_url" | names)"
	echo "  Perl: $(unpacked perl -MLWP::UserAgent -MHTTP::Cookies::Netscape -e '
		my $jar = HTTP::Cookies::Netscape->new(file => $ARGV[0]);
		print LWP::UserAgent->new(cookie_jar => $jar)->get($ARGV[1])->content' "$1" "$echo_url" | names)"
	echo "  Ruby: $(unpacked ruby --disable-gems -W0 load.rb "$1" "$echo_url" | names)"
}
unpacked curl -s -c curl.txt "$set_url" >set.log
unpacked wget -q -O set.log --save-cookies wget.txt --keep-session-cookies "$set_url"
{ load curl.txt; load wget.txt; } | expect 'curl.txt, read by
  curl: http http_lasts plain plain_lasts
  wget: plain plain_lasts
  aria2: plain plain_lasts
  Python: http_lasts plain_lasts
  Perl: http_lasts plain_lasts
  Ruby: http http_lasts plain plain_lasts
wget.txt, read by
  curl: (none)
  wget: http http_lasts plain plain_lasts
  aria2: (none)
  Python: (none)
  Perl: (none)
  Ruby: http http_lasts plain plain_lasts'

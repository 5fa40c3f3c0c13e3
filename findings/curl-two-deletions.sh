#!/usr/bin/env bash
# curl with a cookie file keeps the first of two cookies that one answer deletes.
#
# Versions: Debian curl 7.88.1; Python 3.11.2 http.cookiejar and wget 1.21.3 beside it.
#
# A server signs a user out by deleting two cookies in one answer: that of the session, and that of
# its refresh token. A script keeps the cookies in a file between calls.
# Expected: neither of them is in the file after that, whatever their order (RFC 6265 section 5.3, step 11).
# Seen: curl deletes the last one alone. The first stays with its old value, and the next call sends it, also
# if the second cookie was never there. In one call that follows the chain, both are gone, so only what
# is written to the file and read again is wrong. wget and Python keep none.
# For a server: end the session in the store, and delete the cookie of the session last.
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

debian curl=7.88.1-10+deb12u14 wget=1.21.3-1+deb12u1
port=$(free_port)
node cookie-server.mjs "$port" >>seen &
wait_for "$port"
export HOME="$tmp"

# path C... is the path of an answer that sets these cookies.
path() {
	node -e 'console.log("/set?" + process.argv.slice(1).map(c => "c=" + encodeURIComponent(c)).join("&"))' "$@"
}
both=$(path 'sid=1; Path=/; Max-Age=600' 'rt=2; Path=/; Max-Age=600')
one=$(path 'sid=1; Path=/; Max-Age=600')
sid='sid=; Path=/; Max-Age=0' rt='rt=; Path=/; Max-Age=0'

cat >jar.py <<'PY'
import http.cookiejar, os, sys, urllib.request
jar = http.cookiejar.MozillaCookieJar(sys.argv[1])
if os.path.exists(sys.argv[1]):
    jar.load()
urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar)).open(sys.argv[2]).read()
jar.save()
PY

# calls NAME SET DELETE makes three calls, with a cookie file between them.
calls() {
	local path
	for path in "$2" "$3" "/echo?who=$1"; do
		case $1 in
		curl*) unpacked curl -s -b jar -c jar "http://127.0.0.1:$port$path" >/dev/null ;;
		wget*) unpacked wget -q -O /dev/null --load-cookies jar --save-cookies jar "http://127.0.0.1:$port$path" ;;
		*) python3 jar.py jar "http://127.0.0.1:$port$path" ;;
		esac
	done
	rm -f jar
}
for client in curl wget Python; do
	[ "$client" = Python ] || echo '# Netscape HTTP Cookie File' >jar
	calls "$client,sid+then+rt" "$both" "$(path "$sid" "$rt")"
	[ "$client" = Python ] || echo '# Netscape HTTP Cookie File' >jar
	calls "$client,rt+then+sid" "$both" "$(path "$rt" "$sid")"
	[ "$client" = Python ] || echo '# Netscape HTTP Cookie File' >jar
	calls "$client,sid+then+rt,which+was+not+there" "$one" "$(path "$sid" "$rt")"
done
chain=$(node -e '
	const [base, both, gone] = process.argv.slice(1)
	const to = (path, next) => base + path + "&to=" + encodeURIComponent(next)
	console.log(to(both, to(gone, base + "/echo?who=curl,in+one+call")))' "http://127.0.0.1:$port" "$both" "$(path "$sid" "$rt")")
unpacked curl -s -L -b '' "$chain" >/dev/null
expect 'curl,sid then rt: sid=1
curl,rt then sid: rt=2
curl,sid then rt,which was not there: sid=1
wget,sid then rt: (none)
wget,rt then sid: (none)
wget,sid then rt,which was not there: (none)
Python,sid then rt: (none)
Python,rt then sid: (none)
Python,sid then rt,which was not there: (none)
curl,in one call: (none)' <seen

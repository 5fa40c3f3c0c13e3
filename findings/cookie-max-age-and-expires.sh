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
. "$(dirname "$(realpath "$0")")/setup.bash"

debian curl=7.88.1-10+deb12u14 wget=1.21.3-1+deb12u1 libwww-perl=6.68-1 libhttp-cookies-perl=6.10-1 libhttp-cookiejar-perl=0.014-1 \
	ruby=1:3.1 ruby-http-cookie=1.0.5-1 w3m=0.5.3+git20230121-2 aria2=1.36.0-1
npm_packages tough-cookie@5.1.2
port=$(free_port)
node "$here/cookie-server.mjs" "$port" >>seen &
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

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
. "$(dirname "$(realpath "$0")")/setup.bash"

debian curl=7.88.1-10+deb12u14 wget=1.21.3-1+deb12u1 libwww-perl=6.68-1 libhttp-cookies-perl=6.10-1 libhttp-cookiejar-perl=0.014-1 \
	ruby=1:3.1 ruby-http-cookie=1.0.5-1 lynx=2.9.0dev.12-1 elinks=0.13.2-1+b4 links=2.28-1+b2
port=$(free_port)
node "$here/cookie-server.mjs" "$port" >>seen &
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

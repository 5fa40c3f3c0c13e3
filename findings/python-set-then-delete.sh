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
. "$(dirname "$(realpath "$0")")/setup.bash"

debian python3-requests=2.28.1+dfsg-1 python3-httpx=0.23.3-1 curl=7.88.1-10+deb12u14 libhttp-cookiejar-perl=0.014-1
port=$(free_port)
node "$here/cookie-server.mjs" "$port" >server.log &
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

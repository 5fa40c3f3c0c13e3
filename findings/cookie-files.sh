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
. "$(dirname "$(realpath "$0")")/setup.bash"

debian curl=7.88.1-10+deb12u14 wget=1.21.3-1+deb12u1 aria2=1.36.0-1 libwww-perl=6.68-1 libhttp-cookies-perl=6.10-1 \
	ruby=1:3.1 ruby-http-cookie=1.0.5-1
port=$(free_port)
node "$here/cookie-server.mjs" "$port" >server.log &
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

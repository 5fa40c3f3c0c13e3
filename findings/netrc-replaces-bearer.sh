#!/usr/bin/env bash
# requests and HTTPie replace a Bearer token by a password from .netrc.
#
# Versions: Debian python3-requests 2.28.1, httpie 3.2.1; curl 7.88.1, python3-httpx 0.23.3, wget 1.21.3
# beside them.
#
# A script sets "Authorization: Bearer ..." itself. The machine has a .netrc with a login for the same
# host, left there for git or ftp.
# Expected: the field that the program set is sent; .netrc is for requests that have none.
# Seen: requests and HTTPie send "Basic" with the password of .netrc, and the token nowhere. The API
# answers 401 on this machine and works on all others. curl, httpx and wget send the token.
# For a program with requests: Session.trust_env = False, or an auth object; HTTPie: -A bearer -a.
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

debian python3-requests=2.28.1+dfsg-1 httpie=3.2.1-1 curl=7.88.1-10+deb12u14 python3-httpx=0.23.3-1 wget=1.21.3-1+deb12u1
export HOME="$tmp" NETRC="$tmp/.netrc"
echo 'machine 127.0.0.1 login alice password example' >.netrc
chmod 600 .netrc
port=$(free_port)
cat >server.mjs <<'JS'
import http from 'node:http'
http.createServer((req, res) => res.end((req.headers.authorization ?? 'none') + '\n')).listen(+process.argv[2], '127.0.0.1')
JS
node server.mjs "$port" &
wait_for "$port"
url="http://127.0.0.1:$port/"
{
	echo "requests: $(unpacked python3 -c 'import requests, sys; print(requests.get(sys.argv[1], headers={"Authorization": "Bearer token"}).text)' "$url")"
	echo "requests, trust_env=False: $(unpacked python3 -c '
import requests, sys
session = requests.Session(); session.trust_env = False
print(session.get(sys.argv[1], headers={"Authorization": "Bearer token"}).text)' "$url")"
	echo "HTTPie: $(unpacked python3 -m httpie --ignore-stdin -b "$url" 'Authorization:Bearer token')"
	echo "HTTPie -A bearer: $(unpacked python3 -m httpie --ignore-stdin -b -A bearer -a token "$url")"
	echo "httpx: $(unpacked python3 -c 'import httpx, sys; print(httpx.get(sys.argv[1], headers={"Authorization": "Bearer token"}).text)' "$url")"
	echo "curl --netrc: $(unpacked curl -s --netrc -H 'Authorization: Bearer token' "$url")"
	echo "wget: $(unpacked wget -q -O - --header='Authorization: Bearer token' "$url")"
} | expect 'requests: Basic YWxpY2U6ZXhhbXBsZQ==
requests, trust_env=False: Bearer token
HTTPie: Basic YWxpY2U6ZXhhbXBsZQ==
HTTPie -A bearer: Bearer token
httpx: Bearer token
curl --netrc: Bearer token
wget: Bearer token'

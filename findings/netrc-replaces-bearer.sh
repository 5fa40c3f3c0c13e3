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
. "$(dirname "$(realpath "$0")")/setup.bash"

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

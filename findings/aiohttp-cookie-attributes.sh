#!/usr/bin/env bash
# aiohttp loses a session cookie that is Partitioned, and makes a cookie of Priority.
#
# Versions: Debian python3-aiohttp 3.8.4 with Python 3.11.2; python3-requests 2.28.1 beside it.
#
# A server that is embedded in other sites sets its cookie with Partitioned; some frameworks add
# Priority=High.
# Expected: a client ignores attributes that it does not know (RFC 6265 section 5.2, last step).
# Seen: with Partitioned the whole cookie is dropped without an error, so every request after the
# login is anonymous. With Priority=High the client sends a second cookie named Priority.
# requests keeps both cookies and sends no other. aiohttp reads Set-Cookie with http.cookies, which
# knows a fixed list of attributes.
. "$(dirname "$(realpath "$0")")/setup.bash"

debian python3-aiohttp=3.8.4-1+deb12u2 python3-requests=2.28.1+dfsg-1
port=$(free_port)
node "$here/cookie-server.mjs" "$port" >server.log &
wait_for "$port"
cat >check.py <<'PY'
import asyncio, sys, urllib.parse
import aiohttp, requests
base = f"http://127.0.0.1:{sys.argv[1]}"
cookies = ["sid=1; Path=/; HttpOnly", "sid=1; Path=/; HttpOnly; Partitioned", "sid=1; Path=/; Priority=High; HttpOnly"]
async def main():
    for cookie in cookies:
        url = f"{base}/set?c={urllib.parse.quote(cookie)}"
        jar = aiohttp.CookieJar(unsafe=True)  # takes cookies from an address, here 127.0.0.1
        async with aiohttp.ClientSession(cookie_jar=jar) as client:
            await (await client.get(url)).text()
            print(f"aiohttp  {cookie} -> {(await (await client.get(base + '/echo')).text()).strip()}")
        with requests.Session() as client:
            client.get(url)
            print(f"requests {cookie} -> {client.get(base + '/echo').text.strip()}")
asyncio.run(main())
PY
unpacked python3 check.py "$port" | expect 'aiohttp  sid=1; Path=/; HttpOnly -> sid=1
requests sid=1; Path=/; HttpOnly -> sid=1
aiohttp  sid=1; Path=/; HttpOnly; Partitioned -> (none)
requests sid=1; Path=/; HttpOnly; Partitioned -> sid=1
aiohttp  sid=1; Path=/; Priority=High; HttpOnly -> Priority=High; sid=1
requests sid=1; Path=/; Priority=High; HttpOnly -> sid=1'

#!/usr/bin/env bash
# urllib3 sleeps for as long as Retry-After says, unasked; wget never looks at it.
#
# Versions: Debian python3-urllib3 1.26.12, python3-requests 2.28.1, wget 1.21.3, curl 7.88.1.
#
# A server answers 503 with "Retry-After: 4", or with the same moment as a date (RFC 9110 section 10.2.3).
# Expected: a client that asked for no retries gets the 503 at once; one that asked waits so long.
# Seen: a plain urllib3.PoolManager().request("GET", url) sleeps and asks again, for 413, 429 and 503
# with Retry-After, though its list of statuses to retry is empty; the timeout that was given does
# not limit that sleep. requests, on top of it, returns the 503. wget, told to retry on 503, comes
# back after one second, whatever the field says. curl --retry obeys both forms.
# For a program: urllib3.Retry(respect_retry_after_header=False), or retries=False.
# Exit status: 0 as described, 1 changed, 2 not to be tried here.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
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

debian python3-urllib3=1.26.12-1+deb12u4 python3-requests=2.28.1+dfsg-1 wget=1.21.3-1+deb12u1 curl=7.88.1-10+deb12u14
cat >check.py <<'PY'
import email.utils, http.server, subprocess, threading, time
import requests, urllib3
class Server(http.server.BaseHTTPRequestHandler):
    times, form = [], "seconds"
    def do_GET(self):
        self.times.append(time.monotonic())
        self.send_response(503 if len(self.times) == 1 else 200)
        after = "4" if self.form == "seconds" else email.utils.formatdate(time.time() + 4, usegmt=True)
        if len(self.times) == 1: self.send_header("Retry-After", after)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *args): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}/"
clients = {
    "urllib3, as it comes": lambda: urllib3.PoolManager().request("GET", url, timeout=1.0),
    "urllib3, respect_retry_after_header=False": lambda: urllib3.PoolManager().request("GET", url, retries=urllib3.Retry(respect_retry_after_header=False)),
    "requests, as it comes": lambda: requests.get(url, timeout=1),
    "wget --retry-on-http-error=503": lambda: subprocess.run(["wget", "-q", "-O", "/dev/null", "--retry-on-http-error=503", url]),
    "curl --retry 1": lambda: subprocess.run(["curl", "-s", "--retry", "1", url]),
}
for form in "seconds", "date":
    for name, ask in clients.items():
        Server.times, Server.form = [], form
        ask()
        gap = Server.times[1] - Server.times[0] if len(Server.times) > 1 else None
        seen = "no second request" if gap is None else "waits as told" if 2.9 < gap < 6 else "waits one second" if gap < 1.9 else f"waits {gap:.1f} s"
        print(f"{form}, {name}: {seen}")
PY
unpacked python3 check.py | expect 'seconds, urllib3, as it comes: waits as told
seconds, urllib3, respect_retry_after_header=False: no second request
seconds, requests, as it comes: no second request
seconds, wget --retry-on-http-error=503: waits one second
seconds, curl --retry 1: waits as told
date, urllib3, as it comes: waits as told
date, urllib3, respect_retry_after_header=False: no second request
date, requests, as it comes: no second request
date, wget --retry-on-http-error=503: waits one second
date, curl --retry 1: waits as told'

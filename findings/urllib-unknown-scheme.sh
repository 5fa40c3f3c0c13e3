#!/usr/bin/env bash
# Python's urllib raises ValueError where a server asks for a Bearer token.
#
# Version: Python 3.11.2, urllib.request.
#
# A client has a password for some hosts (HTTPBasicAuthHandler or HTTPDigestAuthHandler). One of them
# answers 401 with "WWW-Authenticate: Bearer".
# Expected: HTTPError 401, as without the handler: a client does not use a challenge it does not know
# (RFC 9110 section 11.6.1), and the caller sees the status.
# Seen: ValueError, which "except HTTPError" and "except OSError" do not catch; status, fields and body
# are lost. With the Basic handler one known scheme beside it saves the day, with the Digest
# handler nothing does. A 401 without any challenge is an HTTPError.
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

debian python3=3.11.2-1+b1
cat >check.py <<'PY'
import http.server, threading, urllib.error, urllib.request
challenges = {"/none": [], "/bearer": ["Bearer"], "/bearer-basic": ['Bearer realm="api"', 'Basic realm="people"']}
class Server(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(401)
        for c in challenges[self.path]: self.send_header("WWW-Authenticate", c)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *args): pass
server = http.server.HTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
base = f"http://127.0.0.1:{server.server_port}"
passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
passwords.add_password(None, base, "alice", "example")
handlers = {"no handler": [], "Basic handler": [urllib.request.HTTPBasicAuthHandler(passwords)],
            "Digest handler": [urllib.request.HTTPDigestAuthHandler(passwords)]}
for name, handler in handlers.items():
    for path in challenges:
        try:
            urllib.request.build_opener(*handler).open(base + path)
        except urllib.error.HTTPError as e:
            print(f"{name}, {path}: HTTPError {e.code}")
        except Exception as e:
            print(f"{name}, {path}: {type(e).__name__}")
PY
unpacked python3 check.py | expect 'no handler, /none: HTTPError 401
no handler, /bearer: HTTPError 401
no handler, /bearer-basic: HTTPError 401
Basic handler, /none: HTTPError 401
Basic handler, /bearer: ValueError
Basic handler, /bearer-basic: HTTPError 401
Digest handler, /none: HTTPError 401
Digest handler, /bearer: ValueError
Digest handler, /bearer-basic: ValueError'

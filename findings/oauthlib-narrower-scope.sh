#!/usr/bin/env bash
# oauthlib throws away a token whose scope is narrower than what was asked for.
#
# Versions: Debian python3-oauthlib 3.2.2; python3-authlib 1.2.0 beside it.
#
# RFC 6749 section 3.3: the server may ignore part of the scope, and then says in the answer what it
# granted. Section 6: so it is with a refresh.
# Expected: the token, with the granted scope in it.
# Seen: parse_request_body_response raises a Warning. Not a warning that is printed: the class Warning
# as an exception, which "except OAuth2Error" does not catch. The token is lost, and with a
# refresh token of one use, so is the session. Another order of the same words is no change.
# Authlib returns the token. For a client of oauthlib: set OAUTHLIB_RELAX_TOKEN_SCOPE.
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

debian python3-oauthlib=3.2.2-1 python3-authlib=1.2.0-1+deb12u2
cat >check.py <<'PY'
import json
import oauthlib.oauth2
from authlib.oauth2.client import OAuth2Client
class Answer:
    status_code = 200
    def __init__(self, body): self.text = body
    def json(self): return json.loads(self.text)
def with_oauthlib(asked, body):
    try:
        return oauthlib.oauth2.WebApplicationClient("c").parse_request_body_response(body, scope=asked.split())["access_token"]
    except oauthlib.oauth2.OAuth2Error as e:
        return f"OAuth2Error: {e}"
    except Exception as e:
        return f"raises {type(e).__name__}, which is no OAuth2Error"
def with_authlib(asked, body):
    return OAuth2Client(None, "c", scope=asked).parse_response_token(Answer(body))["access_token"]
for asked, granted in ("read write", "read write"), ("read write", "write read"), ("read write", "read"), ("read", None):
    body = {"access_token": "the token", "token_type": "Bearer", "expires_in": 300, "refresh_token": "r"}
    if granted: body["scope"] = granted
    for name, parse in ("oauthlib", with_oauthlib), ("Authlib", with_authlib):
        print(f"asked {asked}, granted {granted or '(absent: as asked)'}, {name}: {parse(asked, json.dumps(body))}")
PY
unpacked python3 check.py | expect 'asked read write, granted read write, oauthlib: the token
asked read write, granted read write, Authlib: the token
asked read write, granted write read, oauthlib: the token
asked read write, granted write read, Authlib: the token
asked read write, granted read, oauthlib: raises Warning, which is no OAuth2Error
asked read write, granted read, Authlib: the token
asked read, granted (absent: as asked), oauthlib: the token
asked read, granted (absent: as asked), Authlib: the token'

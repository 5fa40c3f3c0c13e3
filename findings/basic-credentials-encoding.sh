#!/usr/bin/env bash
# One client id, one secret, two different Authorization: Basic fields.
#
# Versions: Debian python3-authlib 1.2.0, python3-requests-oauthlib 1.3.0; npm oauth4webapi 3.8.8,
# simple-oauth2 5.1.0; golang.org/x/oauth2 0.38.0.
#
# RFC 6749 section 2.3.1 (client_secret_basic): id and secret are first form-encoded, then joined by
# a colon and base64-encoded. It makes a difference for every id that is a URL or has "+", "%", ":".
# Expected: all send the same bytes for the id "svc:a+b" and the secret "s%2:x/".
# Seen: oauth4webapi, simple-oauth2 and x/oauth2 encode, Authlib and requests-oauthlib do not.
# The server cannot know which: "%2B" is a plus, or three characters of a secret.
# For an issuer: hand out ids and secrets of letters, digits, "-" and "_", which are the same both ways.
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

# npm_packages NAME@VERSION... installs into $tmp/node_modules.
npm_packages() {
	echo '{"private": true}' >package.json
	nice npm install --silent --no-audit --no-fund --no-package-lock "$@" >npm.log 2>&1 || untried "npm install $*"
}

# go_modules PATH@VERSION... makes a module in $tmp that can import them.
go_modules() {
	go mod init example.org/finding >go.log 2>&1
	export GOFLAGS=-mod=mod
	nice go get "$@" >>go.log 2>&1 || untried "go get $*"
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

debian python3-authlib=1.2.0-1+deb12u2 python3-requests-oauthlib=1.3.0+ds-1
npm_packages oauth4webapi@3.8.8 simple-oauth2@5.1.0
go_modules golang.org/x/oauth2@v0.38.0
port=$(free_port)
cat >server.mjs <<'JS'
import http from 'node:http'
http.createServer((req, res) => {
  const [, basic] = req.headers.authorization.split(' ')
  console.log(`${req.url.slice(1)}: ${Buffer.from(basic, 'base64')}`)
  res.setHeader('Content-Type', 'application/json')
  req.resume().on('end', () => res.end('{"access_token":"t","token_type":"Bearer","expires_in":300}'))
}).listen(+process.argv[2], '127.0.0.1')
JS
node server.mjs "$port" >seen &
wait_for "$port"
base="http://127.0.0.1:$port"
cat >client.mjs <<'JS'
import * as oauth from 'oauth4webapi'
import { ClientCredentials } from 'simple-oauth2'
const base = process.argv[2], id = 'svc:a+b', secret = 's%2:x/'
await oauth.clientCredentialsGrantRequest({ issuer: base, token_endpoint: `${base}/oauth4webapi` }, { client_id: id },
  oauth.ClientSecretBasic(secret), {}, { [oauth.allowInsecureRequests]: true })
await new ClientCredentials({ client: { id, secret }, auth: { tokenHost: base, tokenPath: '/simple-oauth2' } }).getToken({})
JS
cat >client.py <<'PY'
import os, sys
os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"  # plain http, to 127.0.0.1
from authlib.integrations.requests_client import OAuth2Session as Authlib
from oauthlib.oauth2 import BackendApplicationClient
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth2Session
base, id, secret = sys.argv[1], "svc:a+b", "s%2:x/"
Authlib(id, secret, token_endpoint_auth_method="client_secret_basic").fetch_token(base + "/authlib", grant_type="client_credentials")
OAuth2Session(client=BackendApplicationClient(id)).fetch_token(base + "/requests-oauthlib", auth=HTTPBasicAuth(id, secret))
PY
cat >main.go <<'GO'
package main

import (
	"context"
	"os"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

func main() {
	config := clientcredentials.Config{ClientID: "svc:a+b", ClientSecret: "s%2:x/", TokenURL: os.Args[1] + "/x-oauth2", AuthStyle: oauth2.AuthStyleInHeader}
	if _, err := config.Token(context.Background()); err != nil {
		panic(err)
	}
}
GO
timeout 60 node client.mjs "$base"
nice go run . "$base"
unpacked python3 client.py "$base"
expect 'oauth4webapi: svc%3Aa%2Bb:s%252%3Ax%2F
simple-oauth2: svc%3Aa%2Bb:s%252%3Ax%2F
x-oauth2: svc%3Aa%2Bb:s%252%3Ax%2F
authlib: svc:a+b:s%2:x/
requests-oauthlib: svc:a+b:s%2:x/' <seen

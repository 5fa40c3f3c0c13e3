#!/usr/bin/env bash
# A JWK Set of one key, without kid or alg: half of the readers cannot use it.
#
# Versions: Debian python3-jwcrypto 1.1.0, python3-authlib 1.2.0, python3-jose 3.3.0, ruby-jwt 2.5.0,
# libcrypt-jwt-perl 0.034; npm jose 6.2.18; go-jose 4.1.9, jwx 3.4.0, keyfunc 3.9.2.
#
# kid is optional in a JWS header (RFC 7515 section 4.1.4) and in a JWK (RFC 7517 section 4.5), and
# so is alg in a JWK (section 4.4). With one key in the set there is nothing to choose.
# Expected: the token verifies in every case.
# Seen: ruby-jwt and Crypt::JWT need a kid in the token and in the key; authlib takes none in both
# or the same in both; go-jose and jwx need one in the token. jwx also needs alg in the key.
# For an issuer: write kid and alg always. For a verifier: a set of one key is no reason to
# leave out the kid.
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

kid=eyJhbGciOiJFUzI1NiIsImtpZCI6ImEifQ.eyJzdWIiOiJ1In0.g6U7wYcyMcnCKtG8N-o-8V74flprzIgxNR5H8QhzBMiD3Dpu9hQNU1qp8IbrfxD6r41wxABFOXZgHU0GyUCVAQ
no_kid=eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ1In0.3sRzY8d3WcRKcLO-agSgfE-lNEK5K5AT_bSnVpqTeG9kSzn7yTwczjJTFLwNLvbDlkO5UEFenyycF2FqKBBJaA
key='"kty":"EC","crv":"P-256","x":"kZUBI3p6RjWXLRMnfI4_kr5w9h_n5k30R-_dKNaTlFU","y":"mQVj6uivRskCDLFxmMJQwgMJRJ3STd_zpojoKxYkFn4","use":"sig"'

debian python3-jwcrypto=1.1.0-1+deb12u1 python3-authlib=1.2.0-1+deb12u2 python3-jose=3.3.0+dfsg-4 \
	ruby=1:3.1 ruby-jwt=2.5.0-1+deb12u1 libcrypt-jwt-perl=0.034-1
npm_packages jose@6.2.18
go_modules github.com/go-jose/go-jose/v4@v4.1.9 github.com/lestrrat-go/jwx/v3@v3.4.0 \
	github.com/MicahParks/keyfunc/v3@v3.9.2 github.com/golang-jwt/jwt/v5@v5.3.1

cat >check.py <<'PY'
import json, sys
import authlib.jose, jwcrypto.jwk, jwcrypto.jwt, jose.jwt
token, keys = sys.argv[1], sys.argv[2]
def authlib_():
    authlib.jose.JsonWebToken(["ES256"]).decode(token, authlib.jose.JsonWebKey.import_key_set(json.loads(keys)))
def jwcrypto_():
    jwcrypto.jwt.JWT(jwt=token, key=jwcrypto.jwk.JWKSet.from_json(keys), algs=["ES256"])
def python_jose():
    jose.jwt.decode(token, json.loads(keys), algorithms=["ES256"])
for name, verify in ("authlib", authlib_), ("jwcrypto", jwcrypto_), ("python-jose", python_jose):
    try: verify()
    except Exception: print(name, end=" ")
PY
cat >check.mjs <<'JS'
import { jwtVerify, createLocalJWKSet } from 'jose'
await jwtVerify(process.argv[2], createLocalJWKSet(JSON.parse(process.argv[3]))).catch(() => process.stdout.write('jose '))
JS
cat >check.rb <<'RB'
require "jwt"
require "json"
begin
  JWT.decode(ARGV[0], nil, true, algorithms: ["ES256"], jwks: JSON.parse(ARGV[1]))
rescue JWT::DecodeError
  print "ruby-jwt "
end
RB
cat >main.go <<'GO'
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/MicahParks/keyfunc/v3"
	jose "github.com/go-jose/go-jose/v4"
	gojwt "github.com/go-jose/go-jose/v4/jwt"
	golang "github.com/golang-jwt/jwt/v5"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jwt"
)

func main() {
	token, text := os.Args[1], []byte(os.Args[2])
	say := func(name string, err error) {
		if err != nil {
			fmt.Print(name, " ")
		}
	}
	var set jose.JSONWebKeySet
	if json.Unmarshal(text, &set) != nil {
		panic("the set is valid")
	}
	parsed, _ := gojwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256})
	say("go-jose", parsed.Claims(&set, &gojwt.Claims{}))
	keys, _ := jwk.Parse(text)
	_, err := jwt.Parse([]byte(token), jwt.WithKeySet(keys))
	say("jwx", err)
	find, _ := keyfunc.NewJWKSetJSON(text)
	_, err = golang.Parse(token, find.Keyfunc)
	say("keyfunc", err)
}
GO
nice go build -o check-go .

# attempt NAME TOKEN MEMBERS prints who refuses.
attempt() {
	local set="{\"keys\":[{$key$3}]}"
	printf '%s: refused by [ ' "$1"
	unpacked python3 check.py "$2" "$set"
	unpacked ruby --disable-gems -W0 check.rb "$2" "$set"
	unpacked perl -MCrypt::JWT=decode_jwt -e 'eval { decode_jwt(token => $ARGV[0], kid_keys => $ARGV[1]) } or print "Crypt::JWT "' "$2" "$set"
	node check.mjs "$2" "$set"
	./check-go "$2" "$set"
	echo ']'
}
{
	attempt 'kid and alg' "$kid" ',"kid":"a","alg":"ES256"'
	attempt 'no kid in the token' "$no_kid" ',"kid":"a","alg":"ES256"'
	attempt 'no kid at all' "$no_kid" ',"alg":"ES256"'
	attempt 'no alg in the key' "$kid" ',"kid":"a"'
} | expect 'kid and alg: refused by [ ]
no kid in the token: refused by [ authlib ruby-jwt Crypt::JWT go-jose jwx ]
no kid at all: refused by [ ruby-jwt Crypt::JWT go-jose jwx ]
no alg in the key: refused by [ jwx ]'

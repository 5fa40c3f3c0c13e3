#!/usr/bin/env bash
# A token whose algorithm is called Ed25519: 12 of 15 libraries do not know that name.
#
# Versions: Debian python3-jwt 2.6.0, python3-authlib 1.2.0, python3-jwcrypto 1.1.0, python3-jose 3.3.0, ruby-jwt
# 2.5.0 with ruby-rbnacl 7.1.1, libcrypt-jwt-perl 0.034, libjwt 1.10.2, haproxy 2.6.12; npm jose 6.2.18, fast-jwt
# 6.3.6, jsonwebtoken 9.0.3, node-jose 2.2.0; go-jose 4.1.9, golang-jwt 5.3.1, jwx 3.4.0.
#
# RFC 9864 (October 2025) gives the signature the name Ed25519, and deprecates EdDSA, which names no curve.
# Expected: a verifier that is told to take Ed25519 verifies a token with that name.
# Seen: npm jose, jwx and ruby-jwt do. Seven know EdDSA only, and five neither name. All verify ES256.
# For an issuer: sign with ES256, unless all who verify are known. For a verifier: take both names
# for one key, if it is of the curve Ed25519.
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

cat >ed25519.pem <<'PEM'
-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEA6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iw=
-----END PUBLIC KEY-----
PEM
cat >es256.pem <<'PEM'
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEkZUBI3p6RjWXLRMnfI4/kr5w9h/n
5k30R+/dKNaTlFWZBWPq6K9GyQIMsXGYwlDCAwlEndJN3/OmiOgrFiQWfg==
-----END PUBLIC KEY-----
PEM
ed25519='{"kty":"OKP","crv":"Ed25519","kid":"a","x":"6kpsY-KcUgq-9VB7Ey7F-ZVHdq6-vnuSQh7qaRRG0iw"}'
es256='{"kty":"EC","crv":"P-256","kid":"a","x":"kZUBI3p6RjWXLRMnfI4_kr5w9h_n5k30R-_dKNaTlFU","y":"mQVj6uivRskCDLFxmMJQwgMJRJ3STd_zpojoKxYkFn4"}'
rfc7518=eyJhbGciOiJFUzI1NiIsImtpZCI6ImEifQ.eyJzdWIiOiJ1In0.g6U7wYcyMcnCKtG8N-o-8V74flprzIgxNR5H8QhzBMiD3Dpu9hQNU1qp8IbrfxD6r41wxABFOXZgHU0GyUCVAQ
rfc9864=eyJhbGciOiJFZDI1NTE5Iiwia2lkIjoiYSJ9.eyJzdWIiOiJ1In0.YYH5WTMu9sizaGHMDt5eVfsWIqlCxz7hFy_h8LYbxo7MDBNQE1sgBPXjsHlc1lX6ZjeszmqLWIqD_PasaYT9DQ
rfc8037=eyJhbGciOiJFZERTQSIsImtpZCI6ImEifQ.eyJzdWIiOiJ1In0.rF7pt5PsnQiMcvfQ0N5pPWHBZN3MrhTzMw309_5QmViQEB-Y56uS2jKToy9bx00dd9RxIo6MnhaAynGx4nUCBw

debian python3-jwt=2.6.0-1+deb12u1 python3-authlib=1.2.0-1+deb12u2 python3-jwcrypto=1.1.0-1+deb12u1 python3-jose=3.3.0+dfsg-4 \
	ruby=1:3.1 ruby-jwt=2.5.0-1+deb12u1 ruby-rbnacl=7.1.1-1 libcrypt-jwt-perl=0.034-1 \
	libjwt0=1.10.2-1+deb12u1 haproxy=2.6.12-1+deb12u4
npm_packages jose@6.2.18 fast-jwt@6.3.6 jsonwebtoken@9.0.3 node-jose@2.2.0
go_modules github.com/go-jose/go-jose/v4@v4.1.9 github.com/golang-jwt/jwt/v5@v5.3.1 github.com/lestrrat-go/jwx/v3@v3.4.0

# libjwt is called through ctypes: jwt_decode(&jwt, token, key, length) is 0 when the token is good.
cat >check.py <<'PY'
import ctypes, json, sys
import authlib.jose, jose.jwt, jwcrypto.jwk, jwcrypto.jwt, jwt
name, token, key, pem = sys.argv[1:]
pem = open(pem, "rb").read()
def pyjwt():
    jwt.decode(token, pem, algorithms=[name])
def authlib_():
    authlib.jose.JsonWebToken([name]).decode(token, authlib.jose.JsonWebKey.import_key(json.loads(key)))
def jwcrypto_():
    jwcrypto.jwt.JWT(jwt=token, key=jwcrypto.jwk.JWK.from_json(key), algs=[name])
def python_jose():
    jose.jwt.decode(token, json.loads(key), algorithms=[name])
libjwt = ctypes.CDLL("libjwt.so.0")
def libjwt_():
    if libjwt.jwt_decode(ctypes.byref(ctypes.c_void_p()), token.encode(), pem, len(pem)): raise ValueError
for name_, verify in ("PyJWT", pyjwt), ("Authlib", authlib_), ("jwcrypto", jwcrypto_), ("python-jose", python_jose), ("libjwt", libjwt_):
    try: verify()
    except Exception: print(name_, end=" ")
PY
cat >check.rb <<'RB'
require "rubygems"
require "rbnacl"
require "jwt"
require "json"
name, token, key, pem = ARGV
x = JWT::Base64.url_decode(JSON.parse(key)["x"])
begin
  JWT.decode(token, name == "ES256" ? OpenSSL::PKey.read(File.read(pem)) : RbNaCl::Signatures::Ed25519::VerifyKey.new(x), true, algorithms: [name])
rescue JWT::DecodeError
  print "ruby-jwt "
end
RB
cat >check.mjs <<'JS'
import fs from 'node:fs'
import { jwtVerify, importJWK } from 'jose'
import { createVerifier } from 'fast-jwt'
import jsonwebtoken from 'jsonwebtoken'
import nodeJose from 'node-jose'
const [name, token, key, file] = process.argv.slice(2)
const pem = fs.readFileSync(file, 'utf8')
const verify = {
  jose: async () => jwtVerify(token, await importJWK(JSON.parse(key), name), { algorithms: [name] }),
  'fast-jwt': async () => createVerifier({ key: pem, algorithms: [name] })(token),
  jsonwebtoken: async () => jsonwebtoken.verify(token, pem, { algorithms: [name] }),
  'node-jose': async () => nodeJose.JWS.createVerify(await nodeJose.JWK.asKey(key), { algorithms: [name] }).verify(token),
}
for (const library in verify) await verify[library]().catch(() => process.stdout.write(library + ' '))
JS
cat >main.go <<'GO'
package main

import (
	"encoding/json"
	"fmt"
	"os"

	jose "github.com/go-jose/go-jose/v4"
	golang "github.com/golang-jwt/jwt/v5"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/lestrrat-go/jwx/v3/jwa"
)

func main() {
	name, token, key := os.Args[1], os.Args[2], os.Args[3]
	say := func(library string, err error) {
		if err != nil {
			fmt.Print(library, " ")
		}
	}
	var k jose.JSONWebKey
	if err := json.Unmarshal([]byte(key), &k); err != nil {
		panic(err)
	}
	signed, err := jose.ParseSigned(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(name)})
	if err == nil {
		_, err = signed.Verify(k)
	}
	say("go-jose", err)
	_, err = golang.Parse(token, func(*golang.Token) (any, error) { return k.Key, nil }, golang.WithValidMethods([]string{name}))
	say("golang-jwt", err)
	algorithm, known := jwa.LookupSignatureAlgorithm(name)
	if !known {
		say("jwx", fmt.Errorf("unknown"))
		return
	}
	parsed, err := jwk.ParseKey([]byte(key))
	if err == nil {
		_, err = jws.Verify([]byte(token), jws.WithKey(algorithm, parsed))
	}
	say("jwx", err)
}
GO
nice go build -o check-go .

# haproxy NAME PEM asks whether a configuration may have the algorithm.
haproxy() {
	cat >haproxy.cfg <<CFG
defaults
  mode http
  timeout connect 2s
  timeout client 5s
  timeout server 5s
frontend f
  bind 127.0.0.1:1
  http-request deny unless { http_auth_bearer,jwt_verify($1,$tmp/$2) 1 }
CFG
	unpacked haproxy -c -f haproxy.cfg >haproxy.log 2>&1 || printf 'HAProxy '
}

# attempt NAME TOKEN KEY PEM prints who refuses.
attempt() {
	printf '%s: refused by [ ' "$1"
	unpacked python3 check.py "$@"
	RUBYOPT="-I$(echo "$tmp"/root/usr/lib/*/rubygems-integration/3.1.0/extensions/*/*/ffi-*/) -I$(echo "$tmp"/root/usr/lib/*/rubygems-integration/3.1.0/gems/ffi-*/lib)" \
		unpacked ruby --disable-gems -W0 check.rb "$@"
	unpacked perl -MCrypt::JWT=decode_jwt -MJSON::PP -e 'eval { decode_jwt(token => $ARGV[1], key => decode_json($ARGV[2]), accepted_alg => $ARGV[0]) } or print "Crypt::JWT "' "$@"
	haproxy "$1" "$4"
	node check.mjs "$@"
	./check-go "$@"
	echo ']'
}
{
	attempt ES256 "$rfc7518" "$es256" es256.pem
	attempt EdDSA "$rfc8037" "$ed25519" ed25519.pem
	attempt Ed25519 "$rfc9864" "$ed25519" ed25519.pem
} | expect 'ES256: refused by [ ]
EdDSA: refused by [ python-jose libjwt HAProxy jsonwebtoken node-jose ]
Ed25519: refused by [ PyJWT Authlib jwcrypto python-jose libjwt Crypt::JWT HAProxy fast-jwt jsonwebtoken node-jose go-jose golang-jwt ]'

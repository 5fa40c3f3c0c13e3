#!/usr/bin/env bash
# The kid that ruby-jwt gives to a key is not the thumbprint that all others give to it.
#
# Versions: Debian ruby-jwt 2.5.0, python3-jwcrypto 1.1.0, python3-authlib 1.2.0, libcryptx-perl 0.077;
# npm jose 6.2.18, node-jose 2.2.0.
#
# A key that was stored as PEM has no kid. Libraries make one up, so that issuer and verifier can
# both derive it from the key.
# Expected: the SHA-256 thumbprint of RFC 7638, base64url, 43 characters.
# Seen: ruby-jwt writes the hexadecimal SHA-256 of a DER sequence of the parameters (64 digits).
# The other four agree with RFC 7638.
# For an issuer: with a Ruby service and another one that read the same PEM, name the kid.
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

debian ruby=1:3.1 ruby-jwt=2.5.0-1+deb12u1 python3-jwcrypto=1.1.0-1+deb12u1 python3-authlib=1.2.0-1+deb12u2 libcryptx-perl=0.077-1+b1
npm_packages jose@6.2.18 node-jose@2.2.0
cat >key.pem <<'PEM'
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEkZUBI3p6RjWXLRMnfI4/kr5w9h/n
5k30R+/dKNaTlFWZBWPq6K9GyQIMsXGYwlDCAwlEndJN3/OmiOgrFiQWfg==
-----END PUBLIC KEY-----
PEM
cat >check.mjs <<'JS'
import fs from 'node:fs'
import { importSPKI, exportJWK, calculateJwkThumbprint } from 'jose'
import nodeJose from 'node-jose'
const pem = fs.readFileSync('key.pem', 'utf8')
console.log('jose', await calculateJwkThumbprint(await exportJWK(await importSPKI(pem, 'ES256'))))
console.log('node-jose', (await nodeJose.JWK.asKey(pem, 'pem')).kid)
JS
{
	timeout 60 node check.mjs
	unpacked python3 -c '
from jwcrypto.jwk import JWK
from authlib.jose import JsonWebKey
pem = open("key.pem", "rb").read()
print("jwcrypto", JWK.from_pem(pem).export_public(as_dict=True)["kid"])
print("authlib", JsonWebKey.import_key(pem).as_dict(add_kid=True)["kid"])'
	unpacked perl -MCrypt::PK::ECC -e 'print "CryptX ", Crypt::PK::ECC->new("key.pem")->export_key_jwk_thumbprint, "\n"'
	unpacked ruby --disable-gems -W0 -ropenssl -e 'require "jwt"; puts "ruby-jwt " + JWT::JWK.new(OpenSSL::PKey.read(File.read("key.pem"))).export[:kid]'
} | expect 'jose rMZ99ezLCldQh4-ghu9jCgCYWsLa2YDPWlucXeJeoBk
node-jose rMZ99ezLCldQh4-ghu9jCgCYWsLa2YDPWlucXeJeoBk
jwcrypto rMZ99ezLCldQh4-ghu9jCgCYWsLa2YDPWlucXeJeoBk
authlib rMZ99ezLCldQh4-ghu9jCgCYWsLa2YDPWlucXeJeoBk
CryptX rMZ99ezLCldQh4-ghu9jCgCYWsLa2YDPWlucXeJeoBk
ruby-jwt b8e9d949c6a853e38810152fbc57a3e653c86562963d3bf13e8463c31ac7454a'

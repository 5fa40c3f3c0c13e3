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
. "$(dirname "$(realpath "$0")")/setup.bash"

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

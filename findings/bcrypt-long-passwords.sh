#!/usr/bin/env bash
# A password of 73 bytes: set with one bcrypt library, an error in another.
#
# Versions: npm bcrypt 6.0.0, bcryptjs 3.0.3, hash-wasm 4.13.0; golang.org/x/crypto 0.53.0; Debian
# python3-bcrypt 3.2.2.
#
# bcrypt reads 72 bytes of a password. A passphrase, or 25 characters of three bytes each, is longer.
# Expected: one rule for the rest: cut off or refused, when the hash is made and when it is checked.
# Seen: bcrypt, bcryptjs and python3-bcrypt cut it off in both. x/crypto refuses to make the hash and
# checks it cut off. hash-wasm refuses both, so a user whose hash came from the first three
# cannot sign in there: not "false", but an exception.
# For who moves hashes: cut off before hash-wasm; and nobody can know whether the rest of a
# password that matched is right, so do not store a new hash of the whole.
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

debian python3-bcrypt=3.2.2-1
npm_packages bcrypt@6.0.0 bcryptjs@3.0.3 hash-wasm@4.13.0
go_modules golang.org/x/crypto@v0.53.0
cat >check.mjs <<'JS'
import bcrypt from 'bcrypt'
import bcryptjs from 'bcryptjs'
import { bcrypt as wasmHash, bcryptVerify } from 'hash-wasm'
const [, , password, hash] = process.argv
const libraries = {
  bcrypt: [() => bcrypt.hash(password, 4), () => bcrypt.compare(password, hash)],
  bcryptjs: [() => bcryptjs.hash(password, 4), () => bcryptjs.compare(password, hash)],
  'hash-wasm': [() => wasmHash({ password, salt: Buffer.alloc(16, 1), costFactor: 4 }), () => bcryptVerify({ password, hash })],
}
for (const [name, [make, check]] of Object.entries(libraries)) {
  const made = await make().then(() => 'makes a hash', () => 'refuses to make a hash')
  const checked = await check().then(ok => ok ? 'accepts' : 'says wrong', () => 'refuses to check')
  console.log(`${password.length} bytes, ${name}: ${made}, ${checked}`)
}
JS
cat >check.py <<'PY'
import bcrypt, sys
password, hash = (a.encode() for a in sys.argv[1:])
bcrypt.hashpw(password, bcrypt.gensalt(4))
print(f"{len(password)} bytes, python3-bcrypt: makes a hash, {'accepts' if bcrypt.checkpw(password, hash) else 'says wrong'}")
PY
cat >main.go <<'GO'
package main

import (
	"fmt"
	"os"

	"golang.org/x/crypto/bcrypt"
)

func main() {
	password, hash := []byte(os.Args[1]), []byte(os.Args[2])
	made, checked := "makes a hash", "accepts"
	if _, err := bcrypt.GenerateFromPassword(password, 4); err != nil {
		made = "refuses to make a hash"
	}
	if err := bcrypt.CompareHashAndPassword(hash, password); err != nil {
		checked = err.Error()
	}
	fmt.Printf("%d bytes, x/crypto: %s, %s\n", len(password), made, checked)
}
GO
nice go build -o check-go .
long=$(printf 'correct horse %.0s' 1 2 3 4 5 6)
for length in 72 73; do
	password=${long:0:$length}
	hash=$(unpacked python3 -c 'import bcrypt, sys; print(bcrypt.hashpw(sys.argv[1].encode(), bcrypt.gensalt(4)).decode())' "$password")
	node check.mjs "$password" "$hash"
	unpacked python3 check.py "$password" "$hash"
	./check-go "$password" "$hash"
done | expect '72 bytes, bcrypt: makes a hash, accepts
72 bytes, bcryptjs: makes a hash, accepts
72 bytes, hash-wasm: makes a hash, accepts
72 bytes, python3-bcrypt: makes a hash, accepts
72 bytes, x/crypto: makes a hash, accepts
73 bytes, bcrypt: makes a hash, accepts
73 bytes, bcryptjs: makes a hash, accepts
73 bytes, hash-wasm: refuses to make a hash, refuses to check
73 bytes, python3-bcrypt: makes a hash, accepts
73 bytes, x/crypto: refuses to make a hash, accepts'

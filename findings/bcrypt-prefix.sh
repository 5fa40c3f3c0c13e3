#!/usr/bin/env bash
# npm bcrypt says "wrong password" to every hash of htpasswd and PHP.
#
# Versions: npm bcrypt 6.0.0; bcryptjs 3.0.3, hash-wasm 4.13.0, @node-rs/bcrypt 1.10.7, Debian
# python3-bcrypt 3.2.2, ruby-bcrypt 3.1.18, apache2-utils 2.4.71 (htpasswd) beside it.
#
# htpasswd -B and PHP write $2y$, OpenBSD and Python $2b$, Ruby $2a$: the same function, and the same
# result for every password here.
# Expected: a hash that is moved to another program verifies there, or is an error.
# Seen: npm bcrypt compares with $2y$ and returns false, no error: users who were moved from PHP or
# Apache cannot sign in, and it looks as if all had forgotten their passwords. With the
# prefix rewritten to $2b$ the same hash verifies. The other five read all three.
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

debian apache2-utils=2.4.71-1~deb12u1 python3-bcrypt=3.2.2-1 ruby=1:3.1 ruby-bcrypt=3.1.18-1
npm_packages bcrypt@6.0.0 bcryptjs@3.0.3 hash-wasm@4.13.0 @node-rs/bcrypt@1.10.7
hash=$(unpacked htpasswd -nbB -C 5 user 'correct horse battery staple' | sed -n 's/^user://p')
cat >check.mjs <<'JS'
import bcrypt from 'bcrypt'
import bcryptjs from 'bcryptjs'
import nodeRs from '@node-rs/bcrypt'
import { bcryptVerify } from 'hash-wasm'
const [, , password, hash] = process.argv
console.log(`${hash.slice(0, 4)} bcrypt: ${await bcrypt.compare(password, hash)}`)
console.log(`${hash.slice(0, 4)} bcryptjs: ${await bcryptjs.compare(password, hash)}`)
console.log(`${hash.slice(0, 4)} @node-rs/bcrypt: ${await nodeRs.compare(password, hash)}`)
console.log(`${hash.slice(0, 4)} hash-wasm: ${await bcryptVerify({ password, hash })}`)
JS
gem=$(dirname "$(find root -path '*bcrypt*/lib/bcrypt.rb')") extension=$(dirname "$(find root -name bcrypt_ext.so)")
for prefix in '$2y$' '$2b$' '$2a$'; do
	h="$prefix${hash#'$2y$'}"
	node check.mjs 'correct horse battery staple' "$h"
	unpacked python3 -c 'import bcrypt, sys; p, h = (a.encode() for a in sys.argv[1:]); print(sys.argv[2][:4], "python3-bcrypt:", str(bcrypt.checkpw(p, h)).lower())' 'correct horse battery staple' "$h"
	unpacked ruby --disable-gems -W0 -I "$gem" -I "$extension" -e 'require "bcrypt"; puts "#{ARGV[1][0, 4]} ruby-bcrypt: #{BCrypt::Password.new(ARGV[1]) == ARGV[0]}"' 'correct horse battery staple' "$h"
done | expect '$2y$ bcrypt: false
$2y$ bcryptjs: true
$2y$ @node-rs/bcrypt: true
$2y$ hash-wasm: true
$2y$ python3-bcrypt: true
$2y$ ruby-bcrypt: true
$2b$ bcrypt: true
$2b$ bcryptjs: true
$2b$ @node-rs/bcrypt: true
$2b$ hash-wasm: true
$2b$ python3-bcrypt: true
$2b$ ruby-bcrypt: true
$2a$ bcrypt: true
$2a$ bcryptjs: true
$2a$ @node-rs/bcrypt: true
$2a$ hash-wasm: true
$2a$ python3-bcrypt: true
$2a$ ruby-bcrypt: true'

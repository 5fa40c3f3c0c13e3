#!/usr/bin/env bash
# nginx turns "try again in 7 seconds" of the auth service into "500 Internal Server Error".
#
# Versions: Debian nginx 1.22.1, caddy 2.6.2.
#
# A request is first shown to an auth service (auth_request, forward_auth). The service cannot tell
# at the moment, or has had too many requests: it answers 503 or 429 with Retry-After.
# Expected: the client gets that status and Retry-After.
# Seen: nginx knows 2xx, 401 and 403. Everything else is a 500 with a page of its own, without
# Retry-After, and a client that retries on 503 does not retry. A redirect to a login page is a
# 500 too. Caddy passes on status, fields and body of every answer that is not 2xx.
# Behind nginx: catch it with error_page 500 = @later, which cannot tell 503 from 429.
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

# serve COMMAND... & does so for a server: cleanup finds the process itself.
serve() {
	use_unpacked
	exec timeout 300 "$@"
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

debian nginx=1.22.1-9+deb12u11 caddy=2.6.2-5
auth=$(free_port) nginx=$(free_port) caddy=$(free_port)
cat >auth.mjs <<'JS'
import http from 'node:http'
http.createServer((req, res) => {
  const status = +req.headers['x-answer'] // for /auth; nothing in this script gets beyond it
  res.writeHead(status, { 'Retry-After': '7', Location: '/login', 'Content-Type': 'application/problem+json' })
  res.end('{"title":"of the auth service"}')
}).listen(+process.argv[2], '127.0.0.1')
JS
cat >nginx.conf <<CFG
daemon off;
worker_processes 1;
pid $tmp/nginx.pid;
error_log $tmp/nginx.err;
events {}
http {
  access_log off;
  client_body_temp_path $tmp/body; proxy_temp_path $tmp/proxy; fastcgi_temp_path $tmp/fastcgi;
  uwsgi_temp_path $tmp/uwsgi; scgi_temp_path $tmp/scgi;
  server {
    listen 127.0.0.1:$nginx;
    location = /auth { internal; proxy_pass http://127.0.0.1:$auth; }
    location / { auth_request /auth; proxy_pass http://127.0.0.1:$auth/app; }
  }
}
CFG
cat >Caddyfile <<CFG
{
	admin off
	auto_https off
}
http://127.0.0.1:$caddy {
	forward_auth 127.0.0.1:$auth {
		uri /auth
	}
	reverse_proxy 127.0.0.1:$auth
}
CFG
export XDG_DATA_HOME="$tmp" XDG_CONFIG_HOME="$tmp"
node auth.mjs "$auth" &
serve nginx -c "$tmp/nginx.conf" -p "$tmp" -e "$tmp/nginx.err" &
serve caddy run --config Caddyfile --adapter caddyfile >caddy.log 2>&1 &
wait_for "$auth"; wait_for "$nginx"; wait_for "$caddy"

cat >ask.mjs <<'JS'
for (const status of [401, 403, 503, 429, 302]) {
  for (const [name, port] of [['nginx', process.argv[2]], ['caddy', process.argv[3]]]) {
    const res = await fetch(`http://127.0.0.1:${port}/`, { headers: { 'X-Answer': status }, redirect: 'manual' })
    const ours = (await res.text()).includes('of the auth service')
    console.log(`auth service ${status}, ${name} ${res.status}, Retry-After ${res.headers.get('retry-after') ?? 'lost'}, body ${ours ? 'kept' : 'lost'}`)
  }
}
JS
timeout 60 node ask.mjs "$nginx" "$caddy" | expect 'auth service 401, nginx 401, Retry-After lost, body lost
auth service 401, caddy 401, Retry-After 7, body kept
auth service 403, nginx 403, Retry-After lost, body lost
auth service 403, caddy 403, Retry-After 7, body kept
auth service 503, nginx 500, Retry-After lost, body lost
auth service 503, caddy 503, Retry-After 7, body kept
auth service 429, nginx 500, Retry-After lost, body lost
auth service 429, caddy 429, Retry-After 7, body kept
auth service 302, nginx 500, Retry-After lost, body lost
auth service 302, caddy 302, Retry-After 7, body kept'

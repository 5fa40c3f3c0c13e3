#!/usr/bin/env bash
# What an auth service says about cookies and schemes is lost on its way through the proxy.
#
# Versions: Debian nginx 1.22.1, caddy 2.6.2.
#
# With 200 the auth service renews two cookies; with 401 it clears one and names two schemes.
# Expected: with auth_request_set and add_header (nginx), and with copy_headers (Caddy), both cookies
# reach the browser; a 401 arrives with all its fields.
# Seen: nginx gives the browser the first of the two cookies. Caddy gives it none: it adds them to the
# request for the application, as one field "Set-Cookie: a, b". Of a 401 nginx keeps the first
# scheme alone, and no Set-Cookie, so a cookie that the auth service takes away stays. Caddy keeps all.
# For an auth service: renew cookies on a path that the browser asks itself, and one cookie at most
# in an answer to a proxy; put the scheme that matters first.
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
auth=$(free_port) app=$(free_port) nginx=$(free_port) caddy=$(free_port)
cat >servers.mjs <<'JS'
import http from 'node:http'
http.createServer((req, res) => {
  if (req.headers['x-answer'] === '200') {
    res.setHeader('Set-Cookie', ['sid=new; Path=/', 'csrf=new; Path=/'])
  } else {
    res.statusCode = 401
    res.setHeader('Set-Cookie', 'sid=; Path=/; Max-Age=0')
    res.setHeader('WWW-Authenticate', ['Bearer realm="api"', 'Basic realm="people"'])
  }
  res.end()
}).listen(+process.argv[2], '127.0.0.1')
http.createServer((req, res) => res.end(JSON.stringify(req.headers['set-cookie'] ?? null))).listen(+process.argv[3], '127.0.0.1')
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
    location / {
      auth_request /auth;
      auth_request_set \$renewed \$upstream_http_set_cookie;
      add_header Set-Cookie \$renewed;
      proxy_pass http://127.0.0.1:$app;
    }
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
		copy_headers Set-Cookie
	}
	reverse_proxy 127.0.0.1:$app
}
CFG
export XDG_DATA_HOME="$tmp" XDG_CONFIG_HOME="$tmp"
node servers.mjs "$auth" "$app" &
serve nginx -c "$tmp/nginx.conf" -p "$tmp" -e "$tmp/nginx.err" &
serve caddy run --config Caddyfile --adapter caddyfile >caddy.log 2>&1 &
wait_for "$auth"; wait_for "$nginx"; wait_for "$caddy"

cat >ask.mjs <<'JS'
import http from 'node:http'
const ask = (port, answer) => new Promise(done => http.get({ host: '127.0.0.1', port, headers: { 'X-Answer': answer } }, res => {
  let body = ''
  res.on('data', d => { body += d }).on('end', () => {
    const fields = name => res.rawHeaders.filter((_, i) => i % 2 && res.rawHeaders[i - 1].toLowerCase() === name)
    done({ body, cookies: fields('set-cookie'), schemes: fields('www-authenticate') })
  })
}))
for (const [name, port] of [['nginx', process.argv[2]], ['caddy', process.argv[3]]]) {
  const ok = await ask(port, '200'), no = await ask(port, '401')
  console.log(`${name} 200: to the browser ${JSON.stringify(ok.cookies)}, to the application ${ok.body}`)
  console.log(`${name} 401: ${JSON.stringify(no.schemes)}, ${JSON.stringify(no.cookies)}`)
}
JS
timeout 60 node ask.mjs "$nginx" "$caddy" | expect 'nginx 200: to the browser ["sid=new; Path=/"], to the application null
nginx 401: ["Bearer realm=\"api\""], []
caddy 200: to the browser [], to the application ["sid=new; Path=/,csrf=new; Path=/"]
caddy 401: ["Bearer realm=\"api\"","Basic realm=\"people\""], ["sid=; Path=/; Max-Age=0"]'

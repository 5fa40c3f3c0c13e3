#!/usr/bin/env bash
# A cacheable answer with Set-Cookie: four caches, four behaviours.
#
# Versions: Debian nginx 1.22.1, varnish 7.1.1, squid 5.7, apache2 2.4.71 with mod_cache_socache.
#
# An application sets a cookie on every answer, static ones included, whose Cache-Control is
# "public, max-age=60".
# Expected: all do as RFC 9111 section 7.3 says: Set-Cookie does not prevent caching, so the answer is
# stored, cookie included.
# Seen: nginx and Varnish do not store it, so nothing is ever served from the cache. Squid stores it and
# leaves the cookie out for everybody but the first. Apache stores it and gives the first
# visitor's cookie to everybody. Each is documented, and none says so in a log.
# For an application: a Set-Cookie goes with Cache-Control: private or no-store, always.
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

debian nginx=1.22.1-9+deb12u11 varnish=7.1.1-2+deb12u1 squid=5.7-2+deb12u6 apache2-bin=2.4.71-1~deb12u1
origin=$(free_port) nginx=$(free_port) varnish=$(free_port) squid=$(free_port) apache=$(free_port)
cat >origin.mjs <<'JS'
import http from 'node:http'
let n = 0
http.createServer((req, res) => {
  n++
  res.setHeader('Cache-Control', 'public, max-age=60')
  if (req.url === '/cookie') res.setHeader('Set-Cookie', `visitor=${n}; Path=/`)
  res.end(`answer ${n}`)
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
  proxy_cache_path $tmp/cache keys_zone=z:1m;
  server { listen 127.0.0.1:$nginx; location / { proxy_cache z; proxy_pass http://127.0.0.1:$origin; } }
}
CFG
echo "vcl 4.1; backend default { .host = \"127.0.0.1\"; .port = \"$origin\"; }" >default.vcl
share=$tmp/root/usr/share/squid
[ -d "$share" ] || share=/usr/share/squid
helpers=$tmp/root/usr/lib/squid
[ -d "$helpers" ] || helpers=/usr/lib/squid
mkdir -p squid varnish
chmod 755 "$tmp"; chmod 777 squid
cat >squid.conf <<CFG
http_port 127.0.0.1:$squid accel defaultsite=127.0.0.1 no-vhost
cache_peer 127.0.0.1 parent $origin 0 no-query originserver
http_access allow all
pid_filename $tmp/squid/pid
cache_log $tmp/squid/log
access_log none
coredump_dir $tmp/squid
mime_table $share/mime.conf
icon_directory $share/icons
error_directory $share/errors/templates
unlinkd_program $helpers/unlinkd
logfile_daemon $helpers/log_file_daemon
cache_effective_user nobody
netdb_filename none
memory_cache_shared off
shutdown_lifetime 0 seconds
CFG
modules=$tmp/root/usr/lib/apache2/modules
[ -d "$modules" ] || modules=/usr/lib/apache2/modules
{
	echo "ServerRoot $tmp"; echo "ServerName localhost"; echo "PidFile $tmp/apache.pid"; echo "ErrorLog $tmp/apache.err"
	echo "User nobody"; echo "Group nogroup"; echo "Listen 127.0.0.1:$apache"
	for m in mpm_event authz_core proxy proxy_http cache cache_socache socache_shmcb; do
		echo "LoadModule ${m}_module $modules/mod_$m.so"
	done
	echo "CacheEnable socache /"; echo "CacheSocache shmcb:$tmp/socache(1000000)"; echo "ProxyPass / http://127.0.0.1:$origin/"
} >apache.conf
node origin.mjs "$origin" &
serve nginx -c "$tmp/nginx.conf" -p "$tmp" -e "$tmp/nginx.err" &
serve varnishd -F -n "$tmp/varnish" -f "$tmp/default.vcl" -a "127.0.0.1:$varnish" -s malloc,10m >varnish.log 2>&1 &
serve squid -N -n finding$$ -f "$tmp/squid.conf" >squid.log 2>&1 &
serve apache2 -f "$tmp/apache.conf" -D FOREGROUND >apache.log 2>&1 &
for port in $origin $nginx $varnish $squid $apache; do wait_for "$port"; done

cat >ask.mjs <<'JS'
const names = ['nginx', 'varnish', 'squid', 'apache']
for (const [i, port] of process.argv.slice(2).entries()) {
  await fetch(`http://127.0.0.1:${port}/first`) // squid may not store its very first answer
  for (const path of ['/plain', '/cookie']) {
    const get = async () => {
      const res = await fetch(`http://127.0.0.1:${port}${path}`)
      return { body: await res.text(), cookie: res.headers.get('set-cookie') }
    }
    const first = await get()
    await new Promise(done => setTimeout(done, 200)) // squid stores when the answer has ended
    const second = await get()
    const stored = first.body === second.body
    const cookie = !second.cookie ? 'no cookie' : second.cookie === first.cookie ? 'the cookie of the first' : 'a cookie of its own'
    console.log(`${names[i]} ${path}: ${stored ? 'stored' : 'not stored'}${path === '/cookie' ? `, the second visitor gets ${cookie}` : ''}`)
  }
}
JS
timeout 60 node ask.mjs "$nginx" "$varnish" "$squid" "$apache" | expect 'nginx /plain: stored
nginx /cookie: not stored, the second visitor gets a cookie of its own
varnish /plain: stored
varnish /cookie: not stored, the second visitor gets a cookie of its own
squid /plain: stored
squid /cookie: stored, the second visitor gets no cookie
apache /plain: stored
apache /cookie: stored, the second visitor gets the cookie of the first'

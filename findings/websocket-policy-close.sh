#!/usr/bin/env bash
# A server ends a WebSocket with code 1008: half of the programs cannot tell that from a regular end.
#
# Versions: Debian python3-websocket 1.2.3, python3-aiohttp 3.8.4, python3-tornado 6.2,
# python3-websockets 10.4; npm rxjs 7.8.2, websocket 1.0.35, ws 8.23.0 (also the server);
# golang.org/x/net/websocket 0.62.0, gorilla/websocket 1.5.3, coder/websocket 1.8.15.
#
# 1008 says that a rule was broken (RFC 6455 section 7.4.1): the session of the peer has ended, say.
# The connection is closed by both, as after 1000, so it ends cleanly in the words of section 7.1.4.
# Expected: the ordinary way to read messages ends with something that tells 1008 from 1000.
# Seen: websocket-client returns an empty message, and raises only at the next call. The loop of
# aiohttp just ends, and tornado returns None: their users must look at close_code. An observable of
# rxjs completes, as it does for 1000; it has no error. x/net/websocket returns io.EOF, and its API
# has the code nowhere. The event of npm websocket has the code, and wasClean false. websockets, ws,
# gorilla and coder give the code.
# For a server: send a message of your own that says why, before the close frame.
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

npm_packages ws@8.23.0 rxjs@7.8.2 websocket@1.0.35
go_modules golang.org/x/net/websocket@v0.62.0 github.com/gorilla/websocket@v1.5.3 github.com/coder/websocket@v1.8.15
debian python3-websocket=1.2.3-1 python3-aiohttp=3.8.4-1+deb12u2 python3-tornado=6.2.0-3+deb12u4 python3-websockets=10.4-1

cat >server.js <<'JS'
const { WebSocketServer } = require('ws')
const server = new WebSocketServer({ port: 0, host: '127.0.0.1' }, () => console.log(server.address().port))
server.on('connection', (c) => {
  c.send('hello')
  c.close(1008, 'session ended')
})
JS

cat >read.js <<'JS'
const WebSocket = require('ws')
const { webSocket } = require('rxjs/webSocket')
const W3C = require('websocket').w3cwebsocket
const url = process.argv[2]

webSocket({ url, WebSocketCtor: WebSocket, deserializer: (e) => e.data }).subscribe({
  error: (e) => console.log('rxjs: error', e.code),
  complete: () => {
    console.log('rxjs: complete')
    const w3c = new W3C(url)
    w3c.onclose = (e) => {
      console.log(`websocket: ${e.code} ${e.reason}, wasClean ${e.wasClean}`)
      new WebSocket(url).on('close', (code, reason) => console.log(`ws: ${code} ${reason}`))
    }
  },
})
JS

cat >read.py <<'PY'
import asyncio, sys
import aiohttp, tornado.websocket, websocket, websockets

url = sys.argv[1]

async def main():
    async with aiohttp.ClientSession() as s, s.ws_connect(url) as w:
        seen = [m.data async for m in w]
        print('aiohttp:', seen, 'and no exception')
    t = await tornado.websocket.websocket_connect(url)
    print('tornado:', [await t.read_message(), await t.read_message()])
    try:
        async with websockets.connect(url) as w:
            print('websockets:', [m async for m in w])
    except websockets.ConnectionClosedError as e:
        print('websockets: ConnectionClosedError', e.rcvd.code)

c = websocket.create_connection(url)
print('websocket-client:', [c.recv(), c.recv()])
asyncio.run(main())
PY

cat >main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"os"

	coder "github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"
	xnet "golang.org/x/net/websocket"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	url, text := os.Args[1], ""
	x, err := xnet.Dial(url, "", "http://127.0.0.1/")
	must(err)
	must(xnet.Message.Receive(x, &text))
	fmt.Println("x/net/websocket:", xnet.Message.Receive(x, &text))
	g, _, err := gorilla.DefaultDialer.Dial(url, nil)
	must(err)
	_, _, err = g.ReadMessage()
	must(err)
	_, _, err = g.ReadMessage()
	fmt.Println("gorilla:", gorilla.IsCloseError(err, 1008))
	c, _, err := coder.Dial(context.Background(), url, nil)
	must(err)
	_, _, err = c.Read(context.Background())
	must(err)
	_, _, err = c.Read(context.Background())
	fmt.Println("coder:", int(coder.CloseStatus(err)))
}
GO
nice go build -o read-go .

exec {port}< <(exec node server.js)
server=$!
trap 'kill $server 2>/dev/null; rm -rf "$tmp"' EXIT
read -r -u "$port" number || untried "the server does not start"
url=ws://127.0.0.1:$number/
{
	unpacked /usr/bin/python3 read.py "$url"
	node read.js "$url"
	./read-go "$url"
} | expect "websocket-client: ['hello', '']
aiohttp: ['hello'] and no exception
tornado: ['hello', None]
websockets: ConnectionClosedError 1008
rxjs: complete
websocket: 1008 session ended, wasClean false
ws: 1008 session ended
x/net/websocket: EOF
gorilla: true
coder: 1008"

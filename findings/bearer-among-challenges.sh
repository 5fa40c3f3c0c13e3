#!/usr/bin/env bash
# A 401 with more than one challenge: a client for MCP finds the Bearer challenge only if it comes
# first, and takes the scope of another parameter.
#
# Versions: npm @modelcontextprotocol/sdk 1.32.2, oauth4webapi 3.8.8; go-sdk of MCP 1.8.0.
#
# WWW-Authenticate is a list of challenges, on one line or on several, in any order (RFC 9110
# section 11.6.1). Names of parameters have no case, and there may be spaces around "=" (section
# 11.2). An element of a list may be empty (section 5.6.1). resource_metadata is a parameter of a
# challenge (RFC 9728 section 5.1), and scope says what the request needs (RFC 6750 section 3).
# Expected: all three read the URL and the scope "read" in each case.
# Seen: the SDK of MCP for JavaScript finds nothing when Basic, Negotiate or DPoP comes first, on a
# line of its own too, nor with two spaces behind Bearer, a capital in the name, or spaces around
# "=". Its scope is the first "scope=" of the whole text: that inside error_description, or of
# another parameter whose name ends with scope. The SDK for Go refuses spaces around "=", and loses
# the parameters behind an empty element. oauth4webapi reads all.
# For a server: write Bearer first, on a line of its own, with scope before error_description.
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

npm_packages @modelcontextprotocol/sdk@1.32.2 oauth4webapi@3.8.8
go_modules github.com/modelcontextprotocol/go-sdk/oauthex@v1.8.0

cat >cases.json <<'JSON'
[
  ["alone", "Bearer resource_metadata=\"https://r.example/m\", scope=\"read\""],
  ["before Basic", "Bearer resource_metadata=\"https://r.example/m\", scope=\"read\", Basic realm=\"x\""],
  ["behind Basic", "Basic realm=\"x\", Bearer resource_metadata=\"https://r.example/m\", scope=\"read\""],
  ["a line behind Negotiate", "Negotiate", "Bearer resource_metadata=\"https://r.example/m\", scope=\"read\""],
  ["behind DPoP", "DPoP algs=\"ES256\", Bearer resource_metadata=\"https://r.example/m\", scope=\"read\""],
  ["two spaces", "Bearer  resource_metadata=\"https://r.example/m\", scope=\"read\""],
  ["capitals", "Bearer Resource_Metadata=\"https://r.example/m\", Scope=\"read\""],
  ["spaces around =", "Bearer resource_metadata = \"https://r.example/m\", scope = \"read\""],
  ["an empty element", "Bearer resource_metadata=\"https://r.example/m\", , scope=\"read\""],
  ["a description", "Bearer error_description=\"want scope=admin\", scope=\"read\", resource_metadata=\"https://r.example/m\""],
  ["another scope", "Bearer max_scope=\"all\", scope=\"read\", resource_metadata=\"https://r.example/m\""]
]
JSON

cat >read.mjs <<'JS'
import { readFileSync } from 'node:fs'
import { extractWWWAuthenticateParams } from '@modelcontextprotocol/sdk/client/auth.js'
import * as oauth from 'oauth4webapi'

const seen = (url, scope) => (url === undefined ? 'nothing' : `${new URL(url).pathname} ${scope}`)
for (const [what, ...lines] of JSON.parse(readFileSync('cases.json', 'utf8'))) {
  const headers = new Headers()
  for (const line of lines) headers.append('WWW-Authenticate', line)
  const answer = () => new Response(null, { status: 401, headers })
  const { resourceMetadataUrl, scope } = extractWWWAuthenticateParams(answer())
  const asked = oauth.protectedResourceRequest('t', 'GET', new URL('https://r.example/'), undefined, undefined, { [oauth.customFetch]: answer })
  const bearer = await asked.catch((e) => e.cause.find((c) => c.scheme === 'bearer').parameters)
  console.log(`${what}: mcp ${seen(resourceMetadataUrl, scope)}, oauth4webapi ${seen(bearer.resource_metadata, bearer.scope)}`)
}
JS

cat >main.go <<'GO'
package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

func main() {
	text, _ := os.ReadFile("cases.json")
	var cases [][]string
	if json.Unmarshal(text, &cases) != nil {
		panic("the cases are valid")
	}
	for _, c := range cases {
		seen := "nothing"
		challenges, err := oauthex.ParseWWWAuthenticate(c[1:])
		if err != nil {
			seen = "an error"
		}
		for _, one := range challenges {
			if one.Scheme == "bearer" {
				where, _ := url.Parse(one.Params["resource_metadata"])
				seen = strings.TrimSpace(where.Path + " " + one.Params["scope"])
			}
		}
		fmt.Println("go-sdk", seen)
	}
}
GO
nice go build -o read-go .

node read.mjs >js.txt
./read-go >go.txt
paste -d ',' js.txt go.txt | sed 's/,go-sdk/, go-sdk/' | expect 'alone: mcp /m read, oauth4webapi /m read, go-sdk /m read
before Basic: mcp /m read, oauth4webapi /m read, go-sdk /m read
behind Basic: mcp nothing, oauth4webapi /m read, go-sdk /m read
a line behind Negotiate: mcp nothing, oauth4webapi /m read, go-sdk /m read
behind DPoP: mcp nothing, oauth4webapi /m read, go-sdk /m read
two spaces: mcp nothing, oauth4webapi /m read, go-sdk /m read
capitals: mcp nothing, oauth4webapi /m read, go-sdk /m read
spaces around =: mcp nothing, oauth4webapi /m read, go-sdk an error
an empty element: mcp /m read, oauth4webapi /m read, go-sdk /m
a description: mcp /m admin", oauth4webapi /m read, go-sdk /m read
another scope: mcp /m all, oauth4webapi /m read, go-sdk /m read'

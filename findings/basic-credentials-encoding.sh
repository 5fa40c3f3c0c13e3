#!/usr/bin/env bash
# One client id, one secret, two different Authorization: Basic fields.
#
# Versions: Debian python3-authlib 1.2.0, python3-requests-oauthlib 1.3.0; npm oauth4webapi 3.8.8,
# simple-oauth2 5.1.0; golang.org/x/oauth2 0.38.0.
#
# RFC 6749 section 2.3.1 (client_secret_basic): id and secret are first form-encoded, then joined by
# a colon and base64-encoded. It makes a difference for every id that is a URL or has "+", "%", ":".
# Expected: all send the same bytes for the id "svc:a+b" and the secret "s%2:x/".
# Seen: oauth4webapi, simple-oauth2 and x/oauth2 encode, Authlib and requests-oauthlib do not.
# The server cannot know which: "%2B" is a plus, or three characters of a secret.
# For an issuer: hand out ids and secrets of letters, digits, "-" and "_", which are the same both ways.
. "$(dirname "$(realpath "$0")")/setup.bash"

debian python3-authlib=1.2.0-1+deb12u2 python3-requests-oauthlib=1.3.0+ds-1
npm_packages oauth4webapi@3.8.8 simple-oauth2@5.1.0
go_modules golang.org/x/oauth2@v0.38.0
port=$(free_port)
cat >server.mjs <<'JS'
import http from 'node:http'
http.createServer((req, res) => {
  const [, basic] = req.headers.authorization.split(' ')
  console.log(`${req.url.slice(1)}: ${Buffer.from(basic, 'base64')}`)
  res.setHeader('Content-Type', 'application/json')
  req.resume().on('end', () => res.end('{"access_token":"t","token_type":"Bearer","expires_in":300}'))
}).listen(+process.argv[2], '127.0.0.1')
JS
node server.mjs "$port" >seen &
wait_for "$port"
base="http://127.0.0.1:$port"
cat >client.mjs <<'JS'
import * as oauth from 'oauth4webapi'
import { ClientCredentials } from 'simple-oauth2'
const base = process.argv[2], id = 'svc:a+b', secret = 's%2:x/'
await oauth.clientCredentialsGrantRequest({ issuer: base, token_endpoint: `${base}/oauth4webapi` }, { client_id: id },
  oauth.ClientSecretBasic(secret), {}, { [oauth.allowInsecureRequests]: true })
await new ClientCredentials({ client: { id, secret }, auth: { tokenHost: base, tokenPath: '/simple-oauth2' } }).getToken({})
JS
cat >client.py <<'PY'
import os, sys
os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"  # plain http, to 127.0.0.1
from authlib.integrations.requests_client import OAuth2Session as Authlib
from oauthlib.oauth2 import BackendApplicationClient
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth2Session
base, id, secret = sys.argv[1], "svc:a+b", "s%2:x/"
Authlib(id, secret, token_endpoint_auth_method="client_secret_basic").fetch_token(base + "/authlib", grant_type="client_credentials")
OAuth2Session(client=BackendApplicationClient(id)).fetch_token(base + "/requests-oauthlib", auth=HTTPBasicAuth(id, secret))
PY
cat >main.go <<'GO'
package main

import (
	"context"
	"os"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

func main() {
	config := clientcredentials.Config{ClientID: "svc:a+b", ClientSecret: "s%2:x/", TokenURL: os.Args[1] + "/x-oauth2", AuthStyle: oauth2.AuthStyleInHeader}
	if _, err := config.Token(context.Background()); err != nil {
		panic(err)
	}
}
GO
timeout 60 node client.mjs "$base"
nice go run . "$base"
unpacked python3 client.py "$base"
expect 'oauth4webapi: svc%3Aa%2Bb:s%252%3Ax%2F
simple-oauth2: svc%3Aa%2Bb:s%252%3Ax%2F
x-oauth2: svc%3Aa%2Bb:s%252%3Ax%2F
authlib: svc:a+b:s%2:x/
requests-oauthlib: svc:a+b:s%2:x/' <seen

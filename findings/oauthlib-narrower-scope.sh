#!/usr/bin/env bash
# oauthlib throws away a token whose scope is narrower than what was asked for.
#
# Versions: Debian python3-oauthlib 3.2.2; python3-authlib 1.2.0 beside it.
#
# RFC 6749 section 3.3: the server may ignore part of the scope, and then says in the answer what it
# granted. Section 6: so it is with a refresh.
# Expected: the token, with the granted scope in it.
# Seen: parse_request_body_response raises a Warning. Not a warning that is printed: the class Warning
# as an exception, which "except OAuth2Error" does not catch. The token is lost, and with a
# refresh token of one use, so is the session. Another order of the same words is no change.
# Authlib returns the token. For a client of oauthlib: set OAUTHLIB_RELAX_TOKEN_SCOPE.
. "$(dirname "$(realpath "$0")")/setup.bash"

debian python3-oauthlib=3.2.2-1 python3-authlib=1.2.0-1+deb12u2
cat >check.py <<'PY'
import json
import oauthlib.oauth2
from authlib.oauth2.client import OAuth2Client
class Answer:
    status_code = 200
    def __init__(self, body): self.text = body
    def json(self): return json.loads(self.text)
def with_oauthlib(asked, body):
    try:
        return oauthlib.oauth2.WebApplicationClient("c").parse_request_body_response(body, scope=asked.split())["access_token"]
    except oauthlib.oauth2.OAuth2Error as e:
        return f"OAuth2Error: {e}"
    except Exception as e:
        return f"raises {type(e).__name__}, which is no OAuth2Error"
def with_authlib(asked, body):
    return OAuth2Client(None, "c", scope=asked).parse_response_token(Answer(body))["access_token"]
for asked, granted in ("read write", "read write"), ("read write", "write read"), ("read write", "read"), ("read", None):
    body = {"access_token": "the token", "token_type": "Bearer", "expires_in": 300, "refresh_token": "r"}
    if granted: body["scope"] = granted
    for name, parse in ("oauthlib", with_oauthlib), ("Authlib", with_authlib):
        print(f"asked {asked}, granted {granted or '(absent: as asked)'}, {name}: {parse(asked, json.dumps(body))}")
PY
unpacked python3 check.py | expect 'asked read write, granted read write, oauthlib: the token
asked read write, granted read write, Authlib: the token
asked read write, granted write read, oauthlib: the token
asked read write, granted write read, Authlib: the token
asked read write, granted read, oauthlib: raises Warning, which is no OAuth2Error
asked read write, granted read, Authlib: the token
asked read, granted (absent: as asked), oauthlib: the token
asked read, granted (absent: as asked), Authlib: the token'

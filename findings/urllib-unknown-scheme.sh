#!/usr/bin/env bash
# Python's urllib raises ValueError where a server asks for a Bearer token.
#
# Version: Python 3.11.2, urllib.request.
#
# A client has a password for some hosts (HTTPBasicAuthHandler or HTTPDigestAuthHandler). One of them
# answers 401 with "WWW-Authenticate: Bearer".
# Expected: HTTPError 401, as without the handler: a client does not use a challenge it does not know
# (RFC 9110 section 11.6.1), and the caller sees the status.
# Seen: ValueError, which "except HTTPError" and "except OSError" do not catch; status, fields and body
# are lost. With the Basic handler one known scheme beside it saves the day, with the Digest
# handler nothing does. A 401 without any challenge is an HTTPError.
. "$(dirname "$(realpath "$0")")/setup.bash"

debian python3=3.11.2-1+b1
cat >check.py <<'PY'
import http.server, threading, urllib.error, urllib.request
challenges = {"/none": [], "/bearer": ["Bearer"], "/bearer-basic": ['Bearer realm="api"', 'Basic realm="people"']}
class Server(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(401)
        for c in challenges[self.path]: self.send_header("WWW-Authenticate", c)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *args): pass
server = http.server.HTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
base = f"http://127.0.0.1:{server.server_port}"
passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
passwords.add_password(None, base, "alice", "example")
handlers = {"no handler": [], "Basic handler": [urllib.request.HTTPBasicAuthHandler(passwords)],
            "Digest handler": [urllib.request.HTTPDigestAuthHandler(passwords)]}
for name, handler in handlers.items():
    for path in challenges:
        try:
            urllib.request.build_opener(*handler).open(base + path)
        except urllib.error.HTTPError as e:
            print(f"{name}, {path}: HTTPError {e.code}")
        except Exception as e:
            print(f"{name}, {path}: {type(e).__name__}")
PY
unpacked python3 check.py | expect 'no handler, /none: HTTPError 401
no handler, /bearer: HTTPError 401
no handler, /bearer-basic: HTTPError 401
Basic handler, /none: HTTPError 401
Basic handler, /bearer: ValueError
Basic handler, /bearer-basic: HTTPError 401
Digest handler, /none: HTTPError 401
Digest handler, /bearer: ValueError
Digest handler, /bearer-basic: ValueError'

#!/usr/bin/env bash
# passport cannot sign anybody in on top of cookie-session.
#
# Versions: npm passport 0.7.0, cookie-session 2.1.1, express-session 1.19.0, passport-http-bearer 1.0.1,
# express 4.22.3.
#
# passport keeps the user in req.session, and both cookie-session and express-session provide that.
# Expected: either works; a session that lives in a cookie has nothing to regenerate.
# Seen: with cookie-session a login that succeeded ends in 500, "req.session.regenerate is not a
# function": passport 0.6 and later call regenerate and save, which cookie-session does not have.
# So does logging out. Checking a login that an older version left in the cookie still works, so
# only the next login shows it.
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

npm_packages passport@0.7.0 cookie-session@2.1.1 express-session@1.19.0 passport-http-bearer@1.0.1 express@4.22.3
cat >check.cjs <<'JS'
const express = require('express'), passport = require('passport'), bearer = require('passport-http-bearer')
passport.use(new bearer.Strategy((token, done) => done(null, { id: token })))
passport.serializeUser((user, done) => done(null, user.id))
passport.deserializeUser((id, done) => done(null, { id }))
const sessions = {
  'express-session': require('express-session')({ secret: 's', resave: false, saveUninitialized: false }),
  'cookie-session': require('cookie-session')({ secret: 's' }),
}
async function main() {
  for (const [name, session] of Object.entries(sessions)) {
    const app = express().use(session, passport.session())
    app.get('/login', passport.authenticate('bearer'), (req, res) => res.end('signed in'))
    app.get('/old', (req, res) => { req.session.passport = { user: 'u' }; res.end() })
    app.get('/who', (req, res) => res.end(req.user?.id ?? 'nobody'))
    app.get('/logout', (req, res, next) => req.logout(err => err ? next(err) : res.end('signed out')))
    app.use((err, req, res, next) => res.status(500).end(err.message))
    const server = await new Promise(done => { const s = app.listen(0, '127.0.0.1', () => done(s)) })
    let cookie = ''
    const get = async (path, headers = {}) => {
      const answer = await fetch(`http://127.0.0.1:${server.address().port}${path}`, { headers: { ...headers, cookie } })
      const set = answer.headers.getSetCookie().map(c => c.split(';')[0])
      if (set.length) cookie = set.join('; ')
      return `${answer.status} ${await answer.text()}`
    }
    console.log(`${name}, login: ${await get('/login', { authorization: 'Bearer alice' })}`)
    await get('/old')
    console.log(`${name}, later request: ${await get('/who')}`)
    console.log(`${name}, logout: ${await get('/logout')}`)
    server.close()
  }
}
main()
JS
timeout 60 node check.cjs | expect 'express-session, login: 200 signed in
express-session, later request: 200 u
express-session, logout: 200 signed out
cookie-session, login: 500 req.session.regenerate is not a function
cookie-session, later request: 200 u
cookie-session, logout: 500 req.session.save is not a function'

// A server-rendered app without dependencies (Node 18 or later). It is on the host of the auth server, at
// another port or path, so the browser sends it the cookie of the session. For each request it asks
// the auth server whose session that is: GET /v1/session.
//
// So a revoked session is out with its next request. The price is one request to the auth server for each page,
// and no page for people who are signed in while the auth server does not answer. The app can use the cookie
// in the person's name: put no app on this host that you would not let sign people in.
import { createServer } from 'node:http'

const issuer = process.env.ISSUER ?? 'http://127.0.0.1:8080'
const origin = process.env.ORIGIN ?? 'http://127.0.0.1:8093' // where visitors come to; the client lists it
const cookieName = issuer.startsWith('https:') ? '__Host-Http-cf' : 'cf'

class Unavailable extends Error {}

// Some builds of Node 18 have no getSetCookie, and join the cookies: a comma before NAME= begins another.
const setCookies = (headers) => headers.getSetCookie?.() ?? headers.get('set-cookie')?.split(/, (?=[^ ;,=]+=)/) ?? []

// ask sends a request to the auth server with the session's cookie, and no other cookie of the visitor.
async function ask(req, method, path) {
  const cookie = (req.headers.cookie ?? '').split(';').map((c) => c.trim()).filter((c) => c.startsWith(cookieName + '=')).join('; ')
  if (!cookie) return { status: 401, cookies: [] }
  let answer
  try {
    const res = await fetch(issuer + path, { method, headers: { cookie, origin: new URL(issuer).origin }, redirect: 'error', signal: AbortSignal.timeout(2000) })
    answer = { status: res.status, text: await res.text(), cookies: setCookies(res.headers) }
  } catch (err) {
    throw new Unavailable(err.message, { cause: err })
  }
  // Only the auth server says that nobody is signed in. A proxy in front of it does not know.
  const nobody = answer.status === 401 && answer.text.includes('urn:counterfoil:problem:')
  if (answer.status >= 300 && !nobody) throw new Unavailable('the auth server answers ' + answer.status)
  return answer
}

// session returns who is signed in: subject, roles, auth_time and more; or undefined. It throws when nobody
// knows: that is not a sign-out.
async function session(req) {
  const { status, text } = await ask(req, 'GET', '/v1/session')
  return status === 200 ? JSON.parse(text) : undefined
}

// fromHere reports whether a page of this app sent a request that changes something. The browser sends the cookie with
// forms of other pages of this site, too.
const fromHere = (req) => req.headers.origin === origin || req.headers['sec-fetch-site'] === 'same-origin'

const escape = (text) => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`)
const notes = new Map() // by subject

async function answer(req, res) {
  const page = (status, body, headers = {}) => {
    // What a person sees is in no cache, also not after a sign-out.
    res.writeHead(status, { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'private, no-store', 'content-security-policy': "default-src 'none'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'", ...headers })
    res.end(`<!doctype html><html lang="en"><title>Notes</title><link rel="icon" href="data:,"><main>${body}</main>`)
  }
  const pathname = req.url.split('?')[0]
  if (pathname === '/health') return page(200, 'ok')
  if (req.method !== 'GET' && req.method !== 'HEAD' && !fromHere(req)) return page(403, 'This form is of another page.')

  const who = await session(req)
  if (!who) {
    if (req.method !== 'GET' && req.method !== 'HEAD') return page(401, 'Sign in first. <a href="/">To the notes</a>')
    return page(303, '', { location: `${issuer}/login?return_to=${encodeURIComponent(origin + req.url)}` })
  }
  switch (`${req.method} ${pathname}`) {
    case 'GET /':
      return page(200, `<h1>Notes of <span id="who">${escape(who.subject)}</span></h1><p id="note">${escape(notes.get(who.subject) ?? '')}</p>
        <form method="post" action="/note"><input name="note" aria-label="note"><button>Save</button></form>
        <form method="post" action="/sign-out"><button id="out">Sign out</button></form>`)
    case 'GET /admin':
      return who.roles?.includes('admin') ? page(200, 'For administrators') : page(403, 'For administrators alone.')
    case 'POST /note': {
      let body = ''
      for await (const part of req) {
        body += part
        if (body.length > 10_000) return page(413, 'Too long.', { connection: 'close' })
      }
      notes.set(who.subject, new URLSearchParams(body).get('note') ?? '')
      return page(303, '', { location: '/' })
    }
    case 'POST /sign-out': {
      const { cookies } = await ask(req, 'POST', '/v1/logout') // deletes the cookie
      return page(200, 'You are signed out. <a href="/">Sign in</a>', { 'set-cookie': cookies })
    }
  }
  page(404, 'There is no such page.')
}

const server = createServer((req, res) =>
  answer(req, res).catch((err) => {
    // The person stays signed in, and comes back in a moment.
    if (!(err instanceof Unavailable)) console.error(err)
    res.writeHead(err instanceof Unavailable ? 503 : 500, { 'content-type': 'text/plain', 'retry-after': '1', 'cache-control': 'no-store' })
    res.end(err instanceof Unavailable ? 'One moment, please: nobody can tell who you are.\n' : 'Something went wrong.\n')
  }))
server.listen(Number(process.env.PORT ?? new URL(origin).port), '127.0.0.1', () => console.log(`notes at ${origin}`))

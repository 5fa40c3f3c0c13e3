// What needs no browser: bodies, times, and a refresh token in memory, as a page of another site has
// it. The issuer of these tests says what they tell it to. Tests with real servers are in Chromium.
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { afterEach, beforeEach, test } from 'node:test'
import { createClient, ProblemError } from '@counterfoil/client'

let server, issuer, asked, answers

beforeEach(async () => {
  asked = []
  answers = {}
  server = createServer(async (request, response) => {
    let body = ''
    for await (const part of request) body += part
    const { pathname } = new URL(request.url, issuer)
    const ask = { method: request.method, path: pathname, body, headers: request.headers }
    asked.push(ask)
    const [status, answer, headers] = (answers[pathname] ?? (() => [200, {}]))(ask)
    if (status === 0) return request.socket.destroy() // the answer is lost
    response.writeHead(status, { 'Content-Type': status < 400 ? 'application/json' : 'application/problem+json', ...headers })
    response.end(JSON.stringify(answer))
  })
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready))
  issuer = `http://127.0.0.1:${server.address().port}`
})

afterEach(() => new Promise((done) => {
  server.close(done)
  server.closeAllConnections?.()
}))

const problem = (status, slug, headers) => [status, { type: 'urn:counterfoil:problem:' + slug, title: slug, status }, headers]
let tokens = 0
const issued = (more) => [200, { access_token: `at${++tokens}`, refresh_token: `rt${tokens}`, token_type: 'Bearer', expires_in: 300, session: { id: 'ses_a', subject: 'usr_a', carrier: 'bearer', roles: [] }, ...more }]

async function signedIn(options) {
  answers['/v1/login'] = () => issued()
  const auth = createClient({ issuer, carrier: 'bearer', ...options })
  await auth.signIn({ identifier: 'alice', password: 'x' })
  asked = []
  return auth
}

test('a lost answer of a refresh is asked for again, with the same token and nonce, and the next has another', async () => {
  const auth = await signedIn()
  let lost = 1
  answers['/v1/refresh'] = () => lost-- > 0 ? [0] : issued()
  await auth.session({ fresh: true })
  await auth.session({ fresh: true })
  const [one, two, three] = asked.map(({ body }) => JSON.parse(body))
  assert.equal(asked.length, 3)
  assert.deepEqual(one, two)
  assert.match(one.refresh_token, /^rt/)
  assert.notEqual(one.refresh_token, three.refresh_token)
  if (globalThis.crypto) { // Debian's Node 18 has none
    assert.match(one.refresh_nonce, /^[0-9a-f-]{36}$/)
    assert.notEqual(one.refresh_nonce, three.refresh_nonce)
  }
  auth.close()
})

test('one refresh for many requests at once', async () => {
  const auth = await signedIn()
  answers['/v1/refresh'] = () => issued()
  answers['/api'] = ({ headers }) => headers.authorization === `Bearer at${tokens}` ? [200, {}] : problem(401, 'invalid-token')
  tokens++ // what it has is refused from now on
  const all = await Promise.all(Array.from({ length: 50 }, () => auth.fetch(issuer + '/api', { method: 'POST', body: 'x' })))
  assert.deepEqual([...new Set(all.map((answer) => answer.status))], [200])
  assert.equal(asked.filter(({ path }) => path === '/v1/refresh').length, 1)
  auth.close()
})

test('a stream is sent once', async () => {
  const auth = await signedIn()
  answers['/v1/refresh'] = () => issued()
  answers['/api'] = () => problem(401, 'stale-claims')
  const body = new ReadableStream({ start(c) { c.enqueue(new TextEncoder().encode('hello')); c.close() } })
  const answer = await auth.fetch(issuer + '/api', { method: 'POST', body, duplex: 'half' })
  assert.equal(answer.status, 401)
  assert.deepEqual(asked.map(({ path, body }) => path + body), ['/apihello'])
  auth.close()
})

test('a 401 that stays is answered after one refresh', async () => {
  const auth = await signedIn()
  const said = []
  for (const name of ['revoked', 'signed-out', 'change']) auth.on(name, () => said.push(name))
  answers['/v1/refresh'] = () => issued()
  answers['/api'] = () => problem(401, 'invalid-token')
  assert.equal((await auth.fetch(issuer + '/api')).status, 401)
  assert.deepEqual(asked.map(({ path }) => path), ['/api', '/v1/refresh', '/api'])
  assert.deepEqual(said, [])
  assert.equal((await auth.session()).subject, 'usr_a')
  auth.close()
})

test('a 401 without a problem, of another program, refreshes no token that is new', async () => {
  const auth = await signedIn()
  answers['/api'] = () => [401, {}, { 'Content-Type': 'text/html' }]
  assert.equal((await auth.fetch(issuer + '/api')).status, 401)
  assert.deepEqual(asked.map(({ path }) => path), ['/api'])
  auth.close()
})

test('a 401 without a problem, of a proxy in front of the issuer, signs nobody out', async () => {
  const auth = await signedIn()
  const ended = []
  for (const event of ['change', 'signed-out', 'revoked']) auth.on(event, () => ended.push(event))
  answers['/v1/refresh'] = answers['/v1/logout'] = () => [401, 'who are you?', { 'Content-Type': 'text/html' }]
  await assert.rejects(auth.session({ fresh: true }), ProblemError)
  await assert.rejects(auth.signOut(), ProblemError)
  assert.equal((await auth.session()).id, 'ses_a')
  assert.deepEqual(ended, [])
  answers['/v1/logout'] = () => problem(401, 'invalid-token')
  await auth.signOut()
  assert.equal(await auth.session(), null)
  auth.close()
})

test('Retry-After is bounded, and only an answer that changed nothing is asked for again', async () => {
  const auth = await signedIn()
  answers['/api'] = () => problem(503, 'unavailable', { 'Retry-After': '11' })
  assert.equal((await auth.fetch(issuer + '/api')).status, 503)
  assert.equal(asked.length, 1)
  answers['/api'] = () => problem(503, 'unavailable', { 'Retry-After': '0' })
  assert.equal((await auth.fetch(issuer + '/api', { method: 'DELETE' })).status, 503)
  assert.equal(asked.length, 2)
  assert.equal((await auth.fetch(issuer + '/api')).status, 503)
  assert.equal(asked.length, 5)
  auth.close()
})

test('a refresh that meets an outage ends nothing, and a token that is still good is used', async () => {
  const auth = await signedIn()
  const said = []
  for (const name of ['revoked', 'signed-out', 'change']) auth.on(name, () => said.push(name))
  const real = Date.now
  answers['/v1/refresh'] = () => problem(503, 'unavailable', { 'Retry-After': '0' })
  try {
    Date.now = () => real() + 280_000 // of 300 s
    assert.equal((await auth.fetch(issuer + '/api')).status, 200)
    Date.now = () => real() + 310_000
    assert.equal((await auth.fetch(issuer + '/api')).status, 503)
    await assert.rejects(auth.session({ fresh: true }), (error) => error instanceof ProblemError && error.problem.type.endsWith(':unavailable') && error.response.status === 503)
    assert.equal((await auth.session()).subject, 'usr_a')
    Date.now = () => real() - 3600_000 // set back: the other clock counts
    assert.equal((await auth.fetch(issuer + '/api')).status, 200)
  } finally {
    Date.now = real
  }
  assert.deepEqual(said, [])
  auth.close()
})

test('an issuer below a path, and what is refused as an issuer or origin', async () => {
  const auth = createClient({ issuer: issuer + '/auth/', carrier: 'bearer' })
  answers['/auth/v1/login'] = () => issued()
  await auth.signIn({ identifier: 'alice', password: 'x' })
  assert.deepEqual(asked.map(({ path }) => path), ['/auth/v1/login'])
  auth.close()
  for (const options of [{ issuer: '/auth' }, { issuer: 'capacitor://localhost' }, { issuer, origins: ['null'] }, { issuer, origins: ['api.example.com'] }]) {
    assert.throws(() => createClient(options), TypeError)
  }
})

test('what a listener throws does not stop the client', async () => {
  const auth = createClient({ issuer, carrier: 'bearer' })
  const end = auth.on('change', () => said.push('first'))
  const said = []
  answers['/v1/login'] = () => issued()
  await auth.signIn({ identifier: 'alice', password: 'x' })
  end()
  answers['/v1/logout'] = () => [204]
  await auth.signOut()
  assert.deepEqual(said, ['first'])
  auth.close()
})

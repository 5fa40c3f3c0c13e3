// Two OAuth libraries introspect, refresh and revoke at a running server, as TestOAuthLibraries
// tells it: the issuer, a client and its API key, and a bearer token of an administrator. It exits 0
// if each library gets what it wants. Node 18 has Web Crypto, but not as globals.
import assert from 'node:assert/strict'
import { webcrypto } from 'node:crypto'

globalThis.crypto ??= webcrypto
globalThis.CryptoKey ??= (await crypto.subtle.generateKey({ name: 'HMAC', hash: 'SHA-256' }, false, ['sign'])).constructor
const oauth = await import('oauth4webapi')
const openid = await import('openid-client')

const { ISSUER, CLIENT, SECRET, ADMIN } = process.env
const issuer = new URL(ISSUER)
const loopback = { [oauth.allowInsecureRequests]: true } // plain http

// login makes a session of the client, without a password.
async function login() {
  const answer = await fetch(`${ISSUER}/v1/admin/sessions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${ADMIN}`, 'content-type': 'application/json' },
    body: JSON.stringify({ subject: 'oauth-libraries', client: CLIENT, carrier: 'bearer' }),
  })
  const session = await answer.json()
  assert.equal(answer.status, 201, JSON.stringify(session))
  return session
}

// use lets a library, with one way of showing its client and secret, do all three.
async function use(name, { introspect, refresh, revoke }) {
  const { access_token, refresh_token } = await login()
  const live = await introspect(access_token)
  assert.equal(live.active, true, `${name}: a good token is inactive`)
  assert.equal(live.sub, 'oauth-libraries')
  assert.equal(live.client_id, CLIENT)
  const next = await refresh(refresh_token)
  assert.equal((await introspect(next.access_token)).active, true, `${name}: a refreshed token is inactive`)
  assert.equal(next.token_type, 'bearer')
  await revoke(next.refresh_token)
  assert.deepEqual(await introspect(next.access_token), { active: false }, `${name}: a revoked session`)
  await revoke('garbage')
  console.log(`ok ${name}`)
}

// oauth4webapi
const as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...loopback }))
const client = { client_id: CLIENT }
const secret = { basic: oauth.ClientSecretBasic(SECRET), post: oauth.ClientSecretPost(SECRET) }

function oauth4webapi(introspecting, other, signed) {
  const who = signed ? { ...client, introspection_signed_response_alg: 'ES256' } : client
  return {
    async introspect(token) {
      const answer = await oauth.introspectionRequest(as, who, introspecting, token, { requestJwtResponse: signed, ...loopback })
      const got = await oauth.processIntrospectionResponse(as, who, answer)
      if (signed) await oauth.validateApplicationLevelSignature(as, answer, loopback)
      return got
    },
    refresh: async (token) =>
      oauth.processRefreshTokenResponse(as, client, await oauth.refreshTokenGrantRequest(as, client, other, token, loopback)),
    revoke: async (token) => oauth.processRevocationResponse(await oauth.revocationRequest(as, client, other, token, loopback)),
  }
}

for (const method of ['basic', 'post']) {
  assert(as.introspection_endpoint_auth_methods_supported.includes(`client_secret_${method}`))
  assert(as.revocation_endpoint_auth_methods_supported.includes(`client_secret_${method}`))
  assert(as.token_endpoint_auth_methods_supported.includes(`client_secret_${method}`))
  await use(`oauth4webapi, ${method}`, oauth4webapi(secret[method], secret[method], false))
  await use(`oauth4webapi, ${method}, public to refresh, signed answers`, oauth4webapi(secret[method], oauth.None(), true))
}
for (const wrong of [oauth.ClientSecretBasic(`${SECRET}x`), oauth.ClientSecretPost(`${SECRET}x`)]) {
  const answer = await oauth.introspectionRequest(as, client, wrong, 'token', loopback)
  await assert.rejects(oauth.processIntrospectionResponse(as, client, answer), (e) => e.status === 401, 'a wrong secret')
}

// openid-client
async function configure(authentication, ...metadata) {
  return openid.discovery(issuer, CLIENT, ...metadata, authentication, { algorithm: 'oauth2', execute: [openid.allowInsecureRequests] })
}

function openidClient(config, other = config) {
  return {
    introspect: (token) => openid.tokenIntrospection(config, token),
    refresh: (token) => openid.refreshTokenGrant(other, token),
    revoke: (token) => openid.tokenRevocation(other, token),
  }
}

const post = await configure(undefined, SECRET) // the library's own choice
const basic = await configure(openid.ClientSecretBasic(SECRET), SECRET)
const signed = await configure(openid.ClientSecretBasic(SECRET), { introspection_signed_response_alg: 'ES256' })
openid.enableNonRepudiationChecks(signed)
await use('openid-client, post', openidClient(post))
await use('openid-client, basic', openidClient(basic))
await use('openid-client, basic, public to refresh, signed answers', openidClient(signed, await configure(openid.None(), undefined)))
const wrong = await configure(openid.ClientSecretBasic(`${SECRET}x`), undefined)
await assert.rejects(openid.tokenIntrospection(wrong, 'token'), (e) => e.status === 401, 'a wrong secret')

// An OAuth library that was refused by a service finds out who gives tokens for it, and what a login
// lacks. TestGatewayTellsClients names the URLs, and a good token. It exits 0 if the library gets what it wants.
import assert from 'node:assert/strict'
import { webcrypto } from 'node:crypto'

globalThis.crypto ??= webcrypto
globalThis.CryptoKey ??= (await crypto.subtle.generateKey({ name: 'HMAC', hash: 'SHA-256' }, false, ['sign'])).constructor
const oauth = await import('oauth4webapi')

const { SERVICE, STRONG, ISSUER, TOKEN } = process.env
const loopback = { [oauth.allowInsecureRequests]: true } // plain http

// challenge returns the parameters of the refusal.
async function challenge(token, url) {
  try {
    await oauth.protectedResourceRequest(token, 'GET', new URL(url), undefined, undefined, loopback)
  } catch (err) {
    assert(err instanceof oauth.WWWAuthenticateChallengeError, err)
    assert.equal(err.status, 401)
    assert.equal(err.cause.length, 1)
    assert.equal(err.cause[0].scheme, 'bearer')
    return err.cause[0].parameters
  }
  assert.fail(`${url} is open`)
}

// RFC 9728: from the refusal to the authorization server.
const refused = await challenge('junk', SERVICE)
assert.equal(refused.error, 'invalid_token')
const answer = await oauth.resourceDiscoveryRequest(new URL(SERVICE), loopback)
assert.equal(answer.url, refused.resource_metadata)
const resource = await oauth.processResourceDiscoveryResponse(new URL(SERVICE), answer)
assert.deepEqual(resource.authorization_servers, [ISSUER])
assert.deepEqual(resource.bearer_methods_supported, ['header'])
const issuer = new URL(resource.authorization_servers[0])
const server = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...loopback }))
assert.equal(server.issuer, ISSUER)

// RFC 9470: what the login lacks.
const weak = await challenge(TOKEN, STRONG)
assert.equal(weak.error, 'insufficient_user_authentication')
assert.equal(weak.acr_values, 'phr')
console.log('ok')

// Package envoyauth has the messages by which Envoy asks over gRPC whether a request may pass:
// those of its API for external authorization (v3), with the fields that package
// gateway/extauthz uses. envoyauth.proto says why they have another name here, and how the
// code is made.
package envoyauth

// Procedure is the name by which Envoy calls.
const Procedure = "/envoy.service.auth.v3.Authorization/Check"

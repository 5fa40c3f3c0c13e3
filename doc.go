// Package counterfoil tells a service who is calling, and refuses a login as soon as it is
// revoked.
//
//	source, err := counterfoil.Remote("https://auth.example.com", counterfoil.RemoteOptions{Credential: apiKey})
//	verifier, err := counterfoil.NewVerifier(ctx, source, counterfoil.Options{
//		Issuer: "https://auth.example.com", Audience: "https://auth.example.com",
//	})
//	defer verifier.Close()
//	mux.Handle("GET /reports", verifier.Require(reports, counterfoil.Role("staff")))
//
// and in the handler: session, _ := counterfoil.FromContext(r.Context()).
//
// # Words
//
// A session is one login: a row at the issuer. The issuer is the auth server; it alone writes
// sessions. A client holds a copy of the row (a JWT, or a JWT inside a JWE) or a name for it
// (an opaque id), in a cookie or in a header: its carrier. The verifier runs in your service.
// At first sight it proves a credential, by the signature or by a look-up at the issuer. Then
// it follows the issuer's revocation log, so every later check is local. A cursor is a place
// in that log.
//
// # What is promised
//
// A verifier accepts a credential only if it is genuine, unexpired, and not covered by an
// entry of the log; and if the verifier asked for the log, and got all of it, no longer than
// Options.Bound ago. So a revoked session is refused everywhere after Bound at the latest, and
// usually after milliseconds: without synchronized clocks, and whatever the network does. When
// its knowledge is too old, the verifier answers [ErrStale], which is 503: never a guess, never
// a logout. A route can choose another [StalePolicy] by name.
//
// The package signs nobody in and writes nothing; packages server and issuer do that. It is no
// general JWT library: it takes one issuer and one kind of token, strictly.
//
// # What to use
//
// Most services need [NewVerifier], [Remote], [Verifier.Require], the rules ([Role],
// [RequireScope], [Fresh], [ACR]), [FromContext] and [Session]. [Verifier.With] is for routes
// that differ, [Verifier.Watch] for connections that stay open; [Verifier.Status],
// [Verifier.Ready] and [Verifier.WaitFor] are for operators and tests. Package source is for
// authors of a [Source], of a server, or of an adapter to another transport.
//
// # Reading the code
//
// Numbers such as (4.4), and P1 to P4, are of docs/revocation.md, the contract that the code
// keeps. The words are in session.go, session_json.go, carrier.go and errors.go;
// internal/revocation defines "revoked". source.go is the verifier's view of an issuer, and
// remote.go an issuer behind HTTP, over the connections of internal/dial.
//
// verifier.go makes a verifier by options.go, and start.go starts it. check.go is a check from top to bottom: reader.go
// and lookup.go are first sight, policy.go is for stale knowledge. seen.go remembers a copy, in the table of shard.go: entry.go is what it keeps, pack.go the
// session in it, tag.go what stands for the text, and hot.go is for the busiest.
// follower.go reads the log and publishes knowledge.go; issuertime.go judges what its pages say of
// the time; notifier.go argues why a check need not ask the log; keys.go has the issuer's keys. middleware.go and rules.go are HTTP, with
// internal/request and internal/refusal; admitted.go is what a handler gets. watch.go is for
// connections that stay open, status.go for people and metrics, and resource.go for OAuth clients.
//
// # Compatibility
//
// Until version 1 exported names may change, with a line in CHANGELOG.md. The cookie
// names, the form of a Cursor, the log's JSON and the problem types do not change without
// notice: other programs depend on them. The package imports the standard library only.
package counterfoil

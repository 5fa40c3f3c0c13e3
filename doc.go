// Package counterfoil is what a service imports to know who is calling, and to
// stop knowing it the moment the login is revoked.
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
// A session is one login: a row at the issuer. The issuer is the auth server,
// the only one who writes sessions. What a client holds is a copy of the row (a
// JWT, or a JWT inside a JWE) or a name for it (an opaque id), in a cookie or in a
// header: its carrier. The verifier, in your service, resolves what it is given
// once, by signature or by look-up, and then follows the issuer's revocation log,
// so every later check is local. A cursor is a place in that log.
//
// # What is promised
//
// A verifier accepts a credential only if it is genuine, unexpired, not covered by
// an entry of the log, and if the verifier asked for the log, and got all of it, no
// longer than Options.Bound ago. So what was revoked is refused everywhere after
// Bound at the latest, and after milliseconds as a rule; without synchronized
// clocks, whatever the network does. What a verifier cannot know is ErrStale, 503,
// and never a guess or a logout; a route can choose otherwise by name (StalePolicy).
//
// It does not sign anybody in, and writes nothing: packages server and issuer do.
// It is not a general JWT library: one issuer, one kind of token, strictly.
//
// # What to use
//
// Most services need [NewVerifier], [Remote], [Verifier.Require], the rules ([Role],
// [RequireScope], [Fresh], [ACR]), [FromContext] and [Session]. [Verifier.With] and
// [Verifier.Watch] are for routes that differ and for connections that stay open;
// [Verifier.Status], [Verifier.Ready] and [Verifier.WaitFor] for operators and tests. Package
// source has what those need who write a [Source], a server, or an adapter to another
// transport.
//
// # Reading the code
//
// Numbers such as (4.4), and P1 to P4, are of docs/revocation.md, the contract that
// the code keeps. session.go, carrier.go and errors.go are the words, session_json.go is how
// a session is written; internal/revocation defines what "revoked" means. source.go is what
// a verifier asks for; remote.go asks a server for it, over the connections of internal/dial.
//
// options.go is what a verifier can be told, verifier.go starts it, check.go is a check from
// top to bottom. At first sight of a copy, reader.go reads it or lookup.go asks the issuer;
// seen.go remembers it; policy.go is what a route wants when knowledge is too old. follower.go
// reads the log and publishes knowledge.go; notifier.go argues why a check need not ask the
// log; keys.go are the issuer's keys. middleware.go and rules.go are HTTP, with
// internal/request and internal/refusal; watch.go is for connections that stay open,
// status.go for people and metrics.
//
// # Compatibility
//
// Until version 1 exported names may change, with a line in CHANGELOG.md. What does
// not change without notice is what others depend on: the cookie names, the form
// of a Cursor, the log's JSON, and the problem types. The package imports the
// standard library only.
package counterfoil

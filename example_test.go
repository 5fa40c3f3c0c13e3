package counterfoil_test

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store/memory"
)

// A service beside the auth server: docs/tutorial.md has the whole program.
func ExampleNewVerifier() {
	var ctx context.Context
	var apiKey string
	var reports http.Handler

	run := func() error {
		source, err := counterfoil.Remote("https://auth.example.com", counterfoil.RemoteOptions{Credential: apiKey})
		if err != nil {
			return err
		}
		verifier, err := counterfoil.NewVerifier(ctx, source, counterfoil.Options{
			Issuer:   "https://auth.example.com",
			Audience: "https://auth.example.com",
		})
		if err != nil {
			return err
		}
		defer verifier.Close()
		http.Handle("GET /reports", verifier.Require(reports, counterfoil.Role("staff")))
		return http.ListenAndServe(":8081", nil)
	}
	_ = run
}

// A handler that knows its callers, and a login that is revoked under it.
func Example() {
	auth, err := server.Open(context.Background(), server.Config{Store: memory.New(), URL: "http://127.0.0.1:8080"})
	if err != nil {
		log.Fatal(err)
	}
	defer auth.Close()
	verifier := auth.Verifier() // elsewhere: NewVerifier(ctx, source, options) with a Remote source

	hello := verifier.Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		session, _ := counterfoil.FromContext(r.Context())
		fmt.Fprintf(w, "hello %s", session.Subject)
	}))
	get := func(access string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", "Bearer "+access)
		w := httptest.NewRecorder()
		hello.ServeHTTP(w, r)
		fmt.Printf("%d %q\n", w.Code, w.Header().Get("WWW-Authenticate"))
	}

	issued, err := auth.Issuer().Login(context.Background(), login.Proof{Subject: "alice", At: time.Now()}, issuer.Request{Carrier: counterfoil.CarrierBearer})
	if err != nil {
		log.Fatal(err)
	}
	get(issued.Access.Reveal())

	receipt, err := auth.Issuer().Revoke(context.Background(), source.ScopeSession, issued.Session.ID, audit.Act{Reason: "lost phone"})
	if err != nil {
		log.Fatal(err)
	}
	// A program need not wait: the verifier follows the log. An example must not race.
	if err := verifier.WaitFor(context.Background(), receipt.At); err != nil {
		log.Fatal(err)
	}
	get(issued.Access.Reveal())
	// Output:
	// 200 ""
	// 401 "Bearer error=\"invalid_token\""
}

// Routes differ: money moves on fresh logins and up-to-date knowledge only, while a
// status page may go on for half a minute when the issuer cannot be reached.
func ExampleVerifier_With() {
	var verifier *counterfoil.Verifier
	var transfer, status http.Handler

	routes := func() http.Handler {
		mux := http.NewServeMux()
		mux.Handle("POST /transfer", verifier.With(counterfoil.Route{
			Strict: true,
			Rules:  []counterfoil.Rule{counterfoil.Fresh(5 * time.Minute), counterfoil.ACR("mfa")},
		}).Require(transfer))
		mux.Handle("GET /status", verifier.With(counterfoil.Route{
			Stale: counterfoil.ServeStale(30 * time.Second), // Options.ServeStale must allow it
		}).Require(status))
		return mux
	}
	_ = routes
}

// A stream that ends with the login it was opened by.
func ExampleVerifier_Watch() {
	var verifier *counterfoil.Verifier

	stream := func(w http.ResponseWriter, r *http.Request) {
		session, _ := counterfoil.FromContext(r.Context())
		ctx, stop := verifier.Watch(r.Context(), session)
		defer stop()
		for ctx.Err() == nil {
			select {
			case <-ctx.Done(): // context.Cause(ctx): ErrRevoked, ErrExpired, ErrStale or the client has gone
			case <-time.After(time.Second):
				fmt.Fprintln(w, "tick")
			}
		}
	}
	_ = stream
}

// A service opens the JWEs of its client itself, with a key of its own. The
// client is given the public half: PUT /v1/admin/clients/reports {"encryption_key": …}.
func ExampleDecryptionKey_PublicJWK() {
	private, err := ecdh.X25519().GenerateKey(rand.Reader) // once; then it is kept like any secret
	if err != nil {
		log.Fatal(err)
	}
	key := counterfoil.DecryptionKey{ID: "reports-2026", Agreement: private}
	jwk, err := key.PublicJWK()
	if err != nil {
		log.Fatal(err)
	}
	options := counterfoil.Options{
		Issuer: "https://auth.example.com", Audience: "https://auth.example.com",
		DecryptionKeys: []counterfoil.DecryptionKey{key},
	}
	fmt.Println(options.DecryptionKeys, strings.Contains(string(jwk), `"use":"enc","alg":"ECDH-ES"`))
	// Output: [decryption key reports-2026] true
}

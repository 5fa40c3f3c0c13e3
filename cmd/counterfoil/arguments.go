package main

import (
	"regexp"
	"strings"

	"github.com/counterfoil/counterfoil/internal/token"
)

// credentials are the texts that this program and its server make and that open something. No
// command takes one as an argument: an argument stays in the history of the shell, and every
// user of the machine can read it while the command runs (OPS-11).
var credentials = []struct {
	kind string
	form *regexp.Regexp
}{
	{"a token", regexp.MustCompile(`^eyJ[\w-]+(\.[\w-]*){2,4}$`)},
	{"an API key", regexp.MustCompile(`^cfk_[\w-]{20,}$`)},
	{"an invitation", regexp.MustCompile(`cfi_[\w-]{20,}$`)}, // also in its link
	{"a refresh token", regexp.MustCompile(`^cfr_[\w.-]{20,}$`)},
	{"a credential", regexp.MustCompile(`^cf[a-z]_[\w.-]{20,}$`)},
}

// refuseCredentials refuses a call with a credential in its arguments. The error does not repeat
// it: standard error is often kept.
func refuseCredentials(args []string) error {
	for _, arg := range args {
		if _, value, found := strings.Cut(arg, "="); found && strings.HasPrefix(arg, "--") {
			arg = value
		}
		kind := credentialIn(strings.TrimPrefix(arg, "Bearer "))
		if kind == "" && (args[0] == "token" || args[0] == "session") && sessionCookie(arg) {
			kind = "a session cookie"
		}
		if kind != "" {
			return misuse("an argument is %s: nothing was done with it, and it is not repeated here\n"+
				"hint: it is in the history of your shell now, so revoke it; commands read such a text from standard input or from a file that you name", kind)
		}
	}
	return nil
}

// credentialIn names the kind of credential that text looks like; empty: none.
func credentialIn(text string) string {
	for _, c := range credentials {
		if c.form.MatchString(text) {
			return c.kind
		}
	}
	return ""
}

// sessionCookie reports whether text looks like an opaque id. That has no mark of its own, and
// the public id of an API key has the same form, so it counts only where ids of sessions and
// tokens are expected. It is random: it has digits and letters of both cases.
func sessionCookie(text string) bool {
	_, err := token.ParseOpaque(text)
	return err == nil && strings.ContainsAny(text, "0123456789") && strings.ToLower(text) != text && strings.ToUpper(text) != text
}

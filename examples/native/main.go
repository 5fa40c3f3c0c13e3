// Command native is a client without cookies, as an app for a phone, a desktop or a shell is one: it
// signs in with the carrier bearer, keeps the tokens in a file, and calls services.
//
//	native                who is signed in; asks for name and password if nobody is
//	native get URL        ask a service
//	native sign-out
//
// It exits with 4 if there is no answer (try again later), and with 5 if nobody is signed in.
//
// Begin with account.go. It shows what a client must do so that nobody is signed out by accident:
// lost answers, outages, kills and several processes at once.
package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// patience is less than refresh_grace of the server (10 s): a lost answer is asked for again while that
// is possible. After it a used refresh token ends the session.
const patience = 8 * time.Second

func main() {
	err := run(os.Args[1:], os.Stdin, os.Stdout)
	switch {
	case err == nil:
		return
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	}
	fmt.Fprintln(os.Stderr, "native:", err)
	switch {
	case errors.Is(err, errUnavailable):
		os.Exit(4)
	case errors.Is(err, errSignedOut):
		os.Exit(5)
	}
	os.Exit(1)
}

func run(args []string, in io.Reader, out io.Writer) error {
	home, err := os.UserConfigDir()
	if err != nil {
		return err
	}
	flags := flag.NewFlagSet("native", flag.ContinueOnError)
	issuer := flags.String("issuer", "http://127.0.0.1:8080", "URL of the auth server")
	client := flags.String("client", "default", "client that people sign in to")
	file := flags.String("keychain", filepath.Join(home, "counterfoil-native", "keychain.json"), "file of the tokens")
	if err := flags.Parse(args); err != nil {
		return err
	}
	a := &account{issuer: *issuer, client: *client, keychain: keychain{*file}, http: &http.Client{
		Timeout: 2 * time.Second, // of one attempt
		// No other server gets the tokens, the password or the device.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	switch cmp.Or(flags.Arg(0), "who") {
	case "who":
		return who(ctx, a, in, out)
	case "get":
		return show(ctx, a, flags.Arg(1), out)
	case "sign-out":
		return a.signOut(ctx)
	}
	return fmt.Errorf("unknown command %q", flags.Arg(0))
}

// who says who is signed in, and signs somebody in if nobody is.
func who(ctx context.Context, a *account, in io.Reader, out io.Writer) error {
	err := show(ctx, a, a.issuer+"/v1/session", out)
	if !errors.Is(err, errSignedOut) {
		return err
	}
	lines := bufio.NewReader(in)
	fmt.Fprint(os.Stderr, "name: ")
	name, err := lines.ReadString('\n')
	if err != nil {
		return errSignedOut
	}
	fmt.Fprint(os.Stderr, "password: ")
	password, _ := lines.ReadString('\n')
	ctx, cancel := context.WithTimeout(context.Background(), patience) // the person took their time
	defer cancel()
	if err := a.signIn(ctx, strings.TrimSpace(name), strings.TrimRight(password, "\r\n")); err != nil {
		return err
	}
	return show(ctx, a, a.issuer+"/v1/session", out)
}

func show(ctx context.Context, a *account, page string, out io.Writer) error {
	status, body, err := a.get(ctx, page)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return fmt.Errorf("%s answers %d: %s", page, status, body)
	}
	fmt.Fprintln(out, strings.TrimRight(body, "\n"))
	return nil
}

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/counterfoil/counterfoil/internal/textfile"
)

// atTerminal reports whether a person types the standard input.
func atTerminal() bool { return term.IsTerminal(int(os.Stdin.Fd())) }

// maxSecret is the longest line with a secret. A terminal gives a program no longer one.
const maxSecret = 4095

// secretLine reads a secret: at a terminal what is typed, which the terminal does not show;
// otherwise the first line of standard input. It returns "" if there is nothing.
func secretLine(ctx context.Context, prompt string) (string, error) {
	if atTerminal() {
		return typed(ctx, prompt)
	}
	line, err := bufio.NewReader(textfile.Reader(io.LimitReader(os.Stdin, maxSecret+1))).ReadString('\n')
	if err != nil && err != io.EOF {
		return "", fmt.Errorf("read standard input: %w", err)
	}
	return strings.TrimRight(line, "\r\n"), nil
}

// typed asks a person for a secret. When ctx ends, the terminal shows again what is typed.
func typed(ctx context.Context, prompt string) (string, error) {
	in := int(os.Stdin.Fd())
	before, err := term.GetState(in)
	if err != nil {
		return "", fmt.Errorf("read the terminal: %w", err)
	}
	fmt.Fprint(os.Stderr, prompt+" (not shown as you type): ")
	defer fmt.Fprintln(os.Stderr) // the terminal has not shown the end of the line either
	text, err := until(ctx, func() ([]byte, error) { return term.ReadPassword(in) })
	switch {
	case ctx.Err() != nil:
		return "", errors.Join(ctx.Err(), term.Restore(in, before))
	case errors.Is(err, io.EOF): // Ctrl-D
		return "", nil
	case err != nil:
		return "", fmt.Errorf("read the terminal: %w", err)
	case len(text) >= maxSecret:
		return "", misuse("the terminal takes %d characters at most, and this is longer\nhint: put it into a file, and name the file", maxSecret-1)
	}
	return strings.TrimRight(string(text), "\r\n"), nil
}

// until returns what read returns, or the error of ctx if that ends before: nothing interrupts a
// read from a terminal.
func until[T any](ctx context.Context, read func() (T, error)) (got T, err error) {
	type answer struct {
		got T
		err error
	}
	done := make(chan answer, 1)
	go func() {
		got, err := read()
		done <- answer{got, err}
	}()
	select {
	case <-ctx.Done():
		return got, ctx.Err()
	case a := <-done:
		return a.got, a.err
	}
}

// newPassword reads the password that a user shall have. A person types it twice, because a
// misspelt one locks the user out.
func newPassword(ctx context.Context) (string, error) {
	password, err := secretLine(ctx, "password")
	switch {
	case err != nil:
		return "", err
	case password == "":
		return "", misuse("no password was given\nhint: type it at the prompt, pipe it into this command, or use --invite")
	case !atTerminal():
		if strings.TrimSpace(password) != password { // by a tool or on purpose: nobody can tell, and who signs in may not type it
			return "", misuse("the password begins or ends with a blank\nhint: take it away, or type the password at a terminal")
		}
		return password, nil
	}
	again, err := secretLine(ctx, "the same password again")
	if err == nil && again != password {
		err = errors.New("the two passwords differ, and nothing was done\nhint: run the command again")
	}
	return password, err
}

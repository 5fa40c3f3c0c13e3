package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/counterfoil/counterfoil/inspect"
	"github.com/counterfoil/counterfoil/internal/check"
	"github.com/counterfoil/counterfoil/internal/textfile"
)

// tokenInput reads a token from a file or standard input. A token is never an argument: everybody
// on the machine can read those.
type tokenInput struct {
	File string `arg:"" optional:"" default:"-" help:"File that holds the token; - is standard input."`
}

func (i tokenInput) read(ctx context.Context) (string, error) {
	data, err := readInput(ctx, i.File, "token")
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(string(data))
	if text == "" {
		return "", misuse("no token was given\nhint: pipe it into this command, or name a file that holds it")
	}
	return text, nil
}

// readInput reads a file, or standard input if it is -. At a terminal it asks for what.
func readInput(ctx context.Context, file, what string) ([]byte, error) {
	in := io.Reader(os.Stdin)
	switch {
	case file == "-" && atTerminal():
		line, err := secretLine(ctx, what)
		if err != nil {
			return nil, err
		}
		in = strings.NewReader(line)
	case file != "-":
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	return io.ReadAll(io.LimitReader(textfile.Reader(in), 1<<20))
}

// tokenTime is the time as of which a token is looked at.
type tokenTime struct {
	At string `placeholder:"TIME" help:"Look at the token as of this time, in RFC 3339 or seconds since 1970. Empty: now."`
}

func (t tokenTime) now() (time.Time, error) {
	if t.At == "" {
		return time.Now(), nil
	}
	if seconds, err := strconv.ParseInt(t.At, 10, 64); err == nil && seconds >= 0 && seconds < 1<<38 {
		return time.Unix(seconds, 0), nil
	}
	at, err := time.Parse(time.RFC3339, t.At)
	if err != nil {
		return at, misuse("--at is %s: want a time such as 2026-11-30T08:00:00Z, or seconds since 1970", printable(t.At))
	}
	return at, nil
}

// readAt returns the token of in, and the time as of which it is looked at.
func (t tokenTime) readAt(ctx context.Context, in tokenInput) (text string, now time.Time, err error) {
	if now, err = t.now(); err != nil {
		return "", now, err
	}
	text, err = in.read(ctx)
	return text, now, err
}

type tokenDecode struct {
	tokenInput
	tokenTime
	JSON bool `help:"Print JSON."`
}

// Run prints what a token says, without verifying it.
func (c *tokenDecode) Run(ctx context.Context) error {
	text, now, err := c.readAt(ctx, c.tokenInput)
	if err != nil {
		return err
	}
	d, err := inspect.Decode(text, now)
	if err != nil {
		if keys, keyErr := inspect.ParseKeys([]byte(text)); keyErr == nil {
			return printKeysOf(keys, c.JSON)
		}
		return err
	}
	if c.JSON {
		return writeJSON(os.Stdout, d)
	}
	if d.Form != "opaque" {
		fmt.Fprintln(os.Stderr, "UNVERIFIED: anybody can write such a token; counterfoil token verify verifies it")
	}
	printDecoded(os.Stdout, d, "")
	return nil
}

// printDecoded prints what was read. Each line that has a value of the token begins with indent,
// and nothing of it looks like what printVerified prints.
func printDecoded(w io.Writer, d *inspect.Decoded, indent string) {
	line := func(format string, args ...any) { fmt.Fprintln(w, indent+printable(fmt.Sprintf(format, args...))) }
	block := func(name string, raw json.RawMessage) {
		if raw != nil {
			fmt.Fprintf(w, "%s%s (unverified) %s\n", indent, name, strings.ReplaceAll(indented(raw), "\n", "\n"+indent))
		}
	}
	title := d.Title
	if d.Because != "" {
		title += " (" + d.Because + ")"
	}
	line("%s", title)
	if d.Form == "opaque" {
		return
	}
	form := d.Form + ", " + d.Serialization + " serialization"
	if d.Scheme != "" {
		form += ", sent as " + d.Scheme
	}
	line("%s", form)
	block("header", d.Header)
	block("claims", d.Claims)
	if d.Payload != "" {
		line("payload (unverified), in base64url: %s", d.Payload)
	}
	if d.Form == "signed" {
		line("signature: %d bytes, not checked", d.Signature)
	}
	for i, other := range d.More {
		block(fmt.Sprintf("header of signature %d", i+2), other.Header)
	}
	if d.Recipients > 1 {
		line("recipients: %d", d.Recipients)
	}
	for _, t := range d.Times {
		line("%s: %s", t.Claim, timeText(t))
	}
	printParts(w, d, indent, line)
	for _, p := range d.Problems {
		line("not read: %s", p)
	}
	if d.Nested != nil {
		line("inside it:")
		printDecoded(w, d.Nested, indent+"  ")
	}
}

// printParts prints what only some kinds of tokens have.
func printParts(w io.Writer, d *inspect.Decoded, indent string, line func(string, ...any)) {
	if p := d.Proof; p != nil {
		line("proof for: %s %s", p.Method, p.URL)
		line("thumbprint of its key (jkt): %s", orDash(p.Thumbprint))
	}
	if s := d.StatusList; s != nil {
		line("status list: %d entries of %d bits", s.Entries, s.Bits)
	}
	for i, one := range d.Disclosures {
		state := "its digest is in the token"
		if !one.Matched {
			state = one.Problem
		}
		line("disclosure %d: %s = %s (%s)", i+1, orDash(one.Name), string(one.Value), state)
	}
	if b := d.Binding; b != nil {
		line("key binding JWT; sd_hash matches: %t", b.HashMatches)
		printDecoded(w, b.Decoded, indent+"  ")
	}
}

// timeText is a time in UTC, at this place if that is another one, and how far it is away.
func timeText(t inspect.Time) string {
	text := t.Time.Format(time.RFC3339)
	if local := t.Time.Local(); local.Format("-0700") != "+0000" {
		text += ", here " + local.Format("2006-01-02 15:04:05 MST")
	}
	return text + " (" + t.Away + ")"
}

// indented is raw for a terminal, without the control characters that JSON may contain.
func indented(raw []byte) string {
	var out bytes.Buffer
	if json.Indent(&out, raw, "", "  ") != nil {
		return "not JSON"
	}
	return strings.Map(visible, out.String())
}

// visible replaces characters that move the cursor or change the direction of text.
func visible(r rune) rune {
	if r != '\n' && check.Harm(r) != "" {
		return unicode.ReplacementChar
	}
	return r
}

// printable is one line of text for a terminal.
func printable(s string) string { return strings.ReplaceAll(strings.Map(visible, s), "\n", " ") }

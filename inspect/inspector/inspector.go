// Package inspector is the inspector: one HTML file that reads, verifies, signs, encrypts and decrypts
// tokens in the reader's browser. It loads nothing and sends nothing. [HTML] returns the file,
// which also works from disk; a server sends it with [Policy] as a header.
//
// The file is put together from parts, in a fixed order, so that the same parts make the same
// bytes: page.html has the places, style.css and the files of script are put there as they are,
// and the rules of package rulebook are put before them. No part is generated or made smaller.
//
// What the browser enforces, and what rests on the code, is in docs/inspector.md.
package inspector

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"sync"

	"github.com/counterfoil/counterfoil/inspect/rulebook"
)

//go:embed page.html style.css script
var files embed.FS

// scripts are the files of script, in the order in which they run.
var scripts = []string{"bytes", "json", "token", "der", "keys", "jws", "aes192", "jwe", "sdjwt", "kind", "verify", "lint", "page"}

// HTML returns the file.
func HTML() []byte { return slices.Clone(whole().html) }

// Hash returns the SHA-256 of the file, in hexadecimal.
func Hash() string {
	sum := sha256.Sum256(whole().html)
	return hex.EncodeToString(sum[:])
}

// Policy returns the Content-Security-Policy for the answer of a server. It is the one in the file,
// and what a browser accepts in a header only: no page may show this one in a frame, and it
// has no origin, no storage and no windows of its own.
func Policy() string { return whole().policy + "; frame-ancestors 'none'; sandbox allow-scripts" }

type assembled struct {
	html   []byte
	policy string
}

var whole = sync.OnceValue(func() assembled {
	style, script := read("style.css"), script()
	policy := "default-src 'none'; script-src " + source(script) + "; style-src " + source(style) +
		"; connect-src 'none'; form-action 'none'; base-uri 'none'"
	html := strings.NewReplacer("{{policy}}", policy, "{{style}}", style, "{{script}}", script).Replace(read("page.html"))
	return assembled{[]byte(html), policy}
})

func script() string {
	var b strings.Builder
	b.WriteString("\n\"use strict\";\n")
	b.WriteString("const RULES = " + data(rulebook.Rules()) + ";\n")
	b.WriteString("const KINDS = " + data(rulebook.Kinds()) + ";\n")
	b.WriteString("const SECRETS = " + data(rulebook.Secrets()) + ";\n")
	for _, name := range scripts {
		b.WriteString("\n" + read("script/"+name+".js"))
	}
	return b.String()
}

// data is v as JavaScript. [json.Marshal] escapes what would end a script element.
func data(v any) string {
	out, err := json.Marshal(v)
	if err != nil {
		panic(err) // of texts and lists of texts alone
	}
	return string(out)
}

// source names a script or a style by its hash (CSP level 3, section 2.3.1).
func source(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

func read(name string) string {
	text, err := files.ReadFile(name)
	if err != nil {
		panic(err) // it is embedded
	}
	return string(text)
}

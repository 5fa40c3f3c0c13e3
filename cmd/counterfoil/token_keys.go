package main

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/inspect"
	"github.com/counterfoil/counterfoil/internal/urls"
)

// tokenKeys say where keys are. A secret is never an argument.
type tokenKeys struct {
	Key       string `xor:"key" placeholder:"FILE" help:"File with keys: JWK, JWK Set, PEM or a certificate; - is standard input."`
	Secret    string `xor:"key" placeholder:"FILE" help:"File with a shared secret, or with a password for PBES2; - is standard input. A line break at its end does not count."`
	SecretEnv string `xor:"key" name:"secret-env" placeholder:"NAME" help:"Environment variable that holds the secret."`
	Encoding  string `name:"secret-encoding" enum:"text,base64url,hex" default:"text" help:"How the secret is written: text, base64url or hex."`
}

// keys reads the keys; nil if no flag names any. token is the file that the token comes from.
func (k tokenKeys) keys(ctx context.Context, token string) (*inspect.Keys, error) {
	if token == "-" && (k.Key == "-" || k.Secret == "-") {
		return nil, misuse("the token and the key cannot both come from standard input\nhint: name a file for one of them")
	}
	switch {
	case k.Key != "":
		data, err := readInput(ctx, k.Key, "key")
		if err != nil {
			return nil, err
		}
		return parsedKeys(k.Key, data)
	case k.Secret != "":
		data, err := readInput(ctx, k.Secret, "secret")
		if path := (*fs.PathError)(nil); errors.As(err, &path) { // without the path: it may be the secret itself
			return nil, misuse("the file of --secret cannot be read: %v\nhint: --secret names a file; the secret itself is never an argument", path.Err)
		}
		if err != nil {
			return nil, err
		}
		return k.secret(string(data))
	case k.SecretEnv != "":
		text, ok := os.LookupEnv(k.SecretEnv)
		if !ok {
			return nil, misuse("there is no environment variable %s", printable(k.SecretEnv))
		}
		return k.secret(text)
	}
	return nil, nil
}

func parsedKeys(from string, data []byte) (*inspect.Keys, error) {
	keys, err := inspect.ParseKeys(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", from, err)
	}
	return keys, nil
}

// secret reads a secret in its encoding. The errors repeat nothing of it.
func (k tokenKeys) secret(text string) (*inspect.Keys, error) {
	text = strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
	secret := []byte(text)
	var err error
	switch k.Encoding {
	case "base64url":
		secret, err = base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "="))
	case "hex":
		secret, err = hex.DecodeString(text)
	}
	if err != nil {
		return nil, misuse("the secret is not in %s", k.Encoding)
	}
	if len(secret) == 0 {
		return nil, misuse("the secret is empty")
	}
	return inspect.Secret(secret), nil
}

// given returns the keys, which must be there.
func (k tokenKeys) given(ctx context.Context, file string) (*inspect.Keys, error) {
	keys, err := k.keys(ctx, file)
	if err == nil && keys == nil {
		err = misuse("no key was given\nhint: name one with --key, --secret or --secret-env")
	}
	return keys, err
}

// chosen reads the keys, and returns the one that kid names. A file with one key needs no kid.
func (k tokenKeys) chosen(ctx context.Context, input, kid string) (inspect.Key, error) {
	keys, err := k.given(ctx, input)
	if err != nil {
		return inspect.Key{}, err
	}
	for _, key := range keys.List {
		if kid != "" && key.ID == kid {
			return key, nil
		}
	}
	switch {
	case len(keys.List) == 1:
		return keys.List[0], nil
	case kid != "":
		return inspect.Key{}, misuse("none of the %d keys has the kid %s", len(keys.List), printable(kid))
	}
	return inspect.Key{}, misuse("there are %d keys\nhint: --kid says which one", len(keys.List))
}

// printKeysOf prints which keys a file has, and no key.
func printKeysOf(keys *inspect.Keys, asJSON bool) error {
	list := keys.Describe()
	if asJSON {
		return writeJSON(os.Stdout, map[string]any{"form": "keys", "keys": list, "skipped": append([]inspect.Skipped{}, keys.Skipped...)})
	}
	var rows [][]string
	for _, k := range list {
		half := "public"
		if k.Private {
			half = "PRIVATE"
		}
		rows = append(rows, []string{k.ID, k.Type, k.Alg, k.Use, half, k.Thumbprint})
	}
	fmt.Fprintln(os.Stderr, "These are keys, no token.")
	if err := table([]column{{name: "KID"}, {name: "TYPE"}, {name: "ALG"}, {name: "USE"}, {name: "HALF"}, {name: "THUMBPRINT"}}, rows); err != nil {
		return err
	}
	for _, s := range keys.Skipped {
		fmt.Println(printable("skipped " + s.Key + ": " + s.Reason))
	}
	return nil
}

const maxKeySet = 256 << 10

// keySet reads a JWK Set from a file or an https URL (KEY-07).
func keySet(ctx context.Context, from string) (*inspect.Keys, error) {
	var data []byte
	var err error
	if strings.Contains(from, "://") {
		data, err = fetch(ctx, from)
	} else {
		data, err = readInput(ctx, from, "key set")
	}
	if err != nil {
		return nil, err
	}
	return parsedKeys("key set "+from, data)
}

func fetch(ctx context.Context, from string) ([]byte, error) {
	u, err := url.Parse(from)
	if err != nil || u.Hostname() == "" || !urls.Protected(u) {
		return nil, misuse("key set %s: want an https URL, or http on loopback", from)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, err
	}
	client := &http.Client{Timeout: 5 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("key set: %w: %w", errUnreachable, err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, maxKeySet+1))
	if err != nil || res.StatusCode != http.StatusOK || len(data) > maxKeySet {
		return nil, fmt.Errorf("key set: %s %w: %s", from, errUnreachable, res.Status)
	}
	return data, nil
}

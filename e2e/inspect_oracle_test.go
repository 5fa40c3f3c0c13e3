package e2e_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/inspect"
)

// Package inspect, which the commands stand on, accepts and refuses the same tokens of jose and
// @sd-jwt/core as the page does.
func TestInspectReadsWhatOthersMake(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for _, c := range samples(ctx, t, nodeModules(ctx, t, "inspector")) {
		if strings.HasPrefix(c.Name, "RSA-OAEP-384") || strings.HasPrefix(c.Name, "RSA-OAEP-512") {
			continue // the page has them, package inspect says that it does not
		}
		var keys *inspect.Keys
		var err error
		switch {
		case strings.HasPrefix(c.Key, "{"), strings.HasPrefix(c.Key, "-----"):
			keys, err = inspect.ParseKeys([]byte(c.Key))
		case c.Encoding == "hex":
			var secret []byte
			secret, err = hex.DecodeString(c.Key)
			keys = inspect.Secret(secret)
		default:
			keys = inspect.Secret([]byte(c.Key))
		}
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		var content string
		accepted := false
		if c.Verb == "decrypt" {
			d, err := inspect.Decrypt(c.Token, keys)
			if accepted = err == nil; accepted {
				content = string(d.Text)
			}
		} else if v, err := inspect.Verify(c.Token, inspect.VerifyOptions{Keys: keys, Leeway: 30 * time.Second, Now: time.Now()}); err == nil && v.Valid {
			accepted, content = true, string(v.Claims)
		}
		if accepted != c.Good {
			t.Errorf("%s: accepted is %t", c.Name, accepted)
			continue
		}
		if !c.Good || content == *c.Payload {
			continue
		}
		var got, want any
		if json.Unmarshal([]byte(content), &got) != nil || json.Unmarshal([]byte(*c.Payload), &want) != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: read %.300s, want %.300s", c.Name, content, *c.Payload)
		}
	}
}

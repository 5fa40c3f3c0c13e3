package counterfoil_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/source"
)

// An issuer, or an attacker between it and us, may answer anything. A look-up says that there is a
// session, or that there is none, or that it could not be asked; a sequence of pages is
// taken whole or is an error (RFC 7464 section 2.4).
func FuzzRemote(f *testing.F) {
	f.Add([]byte(`{"active":false}`))
	f.Add([]byte(`{"active":true,"iss":"i","sub":"s","sid":"ses_1","exp":1767323100,"rv":"0123456789abcdef.1","aud":["a"],"scope":"a b"}`))
	f.Add([]byte(`{"active":true,"Active":false,"sub":"s"}`))
	for _, act := range []string{`{"sub":"a","sid":"ses_2"}`, `{"sub":"a"}`, `{"sid":"ses_2"}`} {
		f.Add([]byte(`{"active":true,"iss":"i","sub":"s","sid":"ses_1","exp":1767323100,"rv":"0123456789abcdef.1","act":` + act + `}`))
	}
	f.Add([]byte("\x1e" + goodPage + "\n\x1e" + goodPage + "\n"))
	f.Add([]byte("\x1e" + goodPage + "\n\x1e" + goodPage))
	f.Add([]byte("\x1e\x1e" + goodPage + "\n"))
	f.Add([]byte("\x1e{}\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		remote, err := counterfoil.Remote("https://auth.test", counterfoil.RemoteOptions{Transport: answer(body)})
		if err != nil {
			t.Fatal(err)
		}
		s, err := remote.Lookup(t.Context(), "x")
		switch {
		case err == nil && (s == nil || s.ID == "" || s.Subject == "" || json.Unmarshal(body, new(any)) != nil):
			t.Errorf("%s is read as %+v", body, s)
		case err == nil && (s.Actor == "") != (s.ActorSession == ""): // what ends that session would not end this one
			t.Errorf("%s is read as an impersonation by %q in session %q", body, s.Actor, s.ActorSession)
		case err != nil && (s != nil || errors.Is(err, counterfoil.ErrInvalidToken) == errors.Is(err, counterfoil.ErrUnavailable)):
			t.Errorf("%s: %+v and %v", body, s, err)
		}
		applied := 0
		err = counterfoil.Pages(t.Context(), remote, source.Follow{}, func(source.Page) error { applied++; return nil })
		if records := bytes.Count(body, []byte{0x1e}); err == nil && (applied != records || applied == 0 || !bytes.HasSuffix(body, []byte("\n"))) {
			t.Errorf("%q: %d pages of %d records, and no error", body, applied, records)
		}
	})
}

// answer is what a server says to everything.
type answer []byte

func (a answer) RoundTrip(r *http.Request) (*http.Response, error) {
	h := http.Header{"Content-Type": {"application/json-seq"}}
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader(a)), Header: h, Request: r}, nil
}

const goodPage = `{"after":"0123456789abcdef.0","upto":"0123456789abcdef.7","head":"0123456789abcdef.7","time":"2026-01-02T03:04:05Z","proof":"p","entries":[{"seq":7,"scope":"session","id":"ses_1","exp":1767323100},{"seq":3,"scope":"all","exp":1767323100}]}`

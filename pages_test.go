package counterfoil_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/source"
)

// A page of a sequence counts when it is whole, and what comes after one that is not does
// not; a server that knows of no sequences answers with one page.
func TestRemotePages(t *testing.T) {
	const a = `{"after":"0123456789abcdef.1","upto":"0123456789abcdef.2","head":"0123456789abcdef.2","time":"2026-01-02T03:04:05Z","proof":"p","entries":[]}`
	const seq = "application/json-seq"
	for name, c := range map[string]struct {
		media, body string
		pages       int
		whole       bool
	}{
		"two":            {seq, "\x1e" + a + "\n\x1e" + a + "\n", 2, true},
		"with a charset": {"Application/JSON-seq ; charset=utf-8", "\x1e" + a + "\n\x1e" + a + "\n", 2, true},
		"one page":       {"application/json", a, 1, true},
		"cut off":        {seq, "\x1e" + a + "\n\x1e" + a, 1, false},
		"cut off early":  {seq, "\x1e" + a[:20], 0, false},
		"none":           {seq, "", 0, false},
		"not a page":     {seq, "\x1e" + a + "\n\x1e{}\n\x1e" + a + "\n", 1, false},
		"no separator":   {seq, a + "\n", 0, false},
		"a long one":     {seq, "\x1e" + a[:len(a)-2] + fmt.Sprintf(`{"seq":2,"scope":"all","exp":1%5000s}]}`, "") + "\n", 1, true},
		"no end":         {seq, "\x1e" + fmt.Sprintf("%*s", 17<<20, ""), 0, false},
	} {
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", c.media)
			_, _ = w.Write([]byte(c.body)) // it may be hung up on
		}))
		remote, err := counterfoil.Remote(web.URL, counterfoil.RemoteOptions{})
		if err != nil {
			t.Fatal(err)
		}
		pages := 0
		err = counterfoil.Pages(t.Context(), remote, source.Follow{Wait: time.Second}, func(source.Page) error { pages++; return nil })
		if pages != c.pages || (err == nil) != c.whole || err != nil && !errors.Is(err, counterfoil.ErrUnavailable) {
			t.Errorf("%s: %d pages, %v; want %d, whole: %v", name, pages, err, c.pages, c.whole)
		}
		web.Close()
	}
}

// paged answers each question with a page for each step of the log, and goes on.
type paged struct{ *scripted }

func (p paged) Pages(t context.Context, f source.Follow, apply func(source.Page) error) error {
	ctx, cancel := context.WithTimeout(t, f.Wait)
	defer cancel()
	for {
		page, err := p.Log(ctx, f)
		if ctx.Err() != nil {
			return t.Err()
		}
		if err == nil {
			err = apply(page)
		}
		if err != nil {
			return err
		}
		f.After = page.Upto
	}
}

// REV-05: what comes later in the same answer is applied at once, and makes nothing
// fresher than the question was.
func TestLaterPageIsNoFresher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(t)
		v := follow(t, paged{s}, counterfoil.Options{Bound: 4 * time.Second})
		defer v.Close()
		time.Sleep(1500 * time.Millisecond) // half a second into a question
		for n := range 4 {
			session := fmt.Sprint("ses_", n)
			c := claims()
			c.SID, c.ID = session, fmt.Sprint("tok_", n)
			text := s.sign(t, "at+jwt", c)
			if _, err := v.Verify(t.Context(), text); err != nil {
				t.Fatal(err)
			}
			s.revoke(source.ScopeSession, session)
			synctest.Wait()
			if _, err := v.Verify(t.Context(), text); !errors.Is(err, counterfoil.ErrRevoked) {
				t.Errorf("revocation %d: %v, want ErrRevoked", n, err)
			}
			if age := v.Staleness(); age != time.Duration(5+n)*100*time.Millisecond {
				t.Errorf("after revocation %d what is known is %v old", n, age)
			}
			time.Sleep(100 * time.Millisecond)
		}
	})
}

package e2e_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

var screenshots = flag.String("screenshots", "", "folder to write the documentation's screenshots to")

// browser is a tab of a real Chromium, and what its console complained of.
type browser struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	problems []string
}

// look is a way to look at a page.
type look struct {
	name  string
	width int64
	dark  bool
}

var looks = []look{{"desktop-light", 1280, false}, {"phone-dark", 390, true}}

func newBrowser(t *testing.T, l look) *browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("the browser tests need chromium: .ci/run installs it on Debian")
	}
	scheme := "1"
	if l.dark {
		scheme = "0"
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("blink-settings", "preferredColorScheme="+scheme))
	allocator, stop := chromedp.NewExecAllocator(context.Background(), opts...)
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	b := &browser{t: t, ctx: ctx}
	messages := chromedp.Console(ctx)
	go func() {
		for m, err := range messages {
			if err != nil {
				return
			}
			if m.IsException() || m.Type == "error" || m.Type == "warning" {
				b.mu.Lock()
				b.problems = append(b.problems, m.String())
				b.mu.Unlock()
			}
		}
	}()
	b.do(chromedp.EmulateViewport(l.width, 800))
	return b
}

func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 20*time.Second)
	defer cancel()
	if b.ctx.Err() == nil && chromedp.FromContext(b.ctx).Target == nil {
		ctx = b.ctx // the first run starts the browser, which must outlive a timeout
	}
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatalf("browser: %v\npage: %.600s", err, b.text())
	}
}

func (b *browser) text() string {
	ctx, cancel := context.WithTimeout(b.ctx, 2*time.Second)
	defer cancel()
	text, _ := chromedp.Run(ctx, chromedp.Text(chromedp.CSS("body")))
	return text
}

// until waits for a condition of the page, in JavaScript, across navigations.
func (b *browser) until(condition string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 20*time.Second)
	defer cancel()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		// An error means that the page is being replaced: look again.
		if ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("!!("+condition+")")); err == nil && ok {
			return
		}
		select {
		case <-ctx.Done():
			b.t.Fatalf("browser: %s never came true\npage: %.600s", condition, b.text())
		case <-look.C:
		}
	}
}

// inspect holds what is true of every page, and takes its picture if asked.
func (b *browser) inspect(name string) {
	b.t.Helper()
	wide, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool]("document.documentElement.scrollWidth > window.innerWidth"))
	if err != nil || wide {
		b.t.Errorf("%s scrolls sideways: %v, %v", name, wide, err)
	}
	unnamed, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`[...document.querySelectorAll("input:not([type=hidden])")]
		.filter((i) => !i.labels.length).map((i) => i.outerHTML).join()`))
	if err != nil || unnamed != "" {
		b.t.Errorf("%s has fields without a label: %s, %v", name, unnamed, err)
	}
	b.mu.Lock()
	if len(b.problems) > 0 {
		b.t.Errorf("%s: the console says: %s", name, strings.Join(b.problems, "; "))
	}
	b.mu.Unlock()
	if *screenshots == "" {
		return
	}
	picture, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err == nil {
		err = os.WriteFile(fmt.Sprintf("%s/%s.png", *screenshots, name), picture, 0o644)
	}
	if err != nil {
		b.t.Error(err)
	}
}

// The pages, by keyboard alone: sign in, see the session, revoke another one,
// change the password, sign out.
func TestPagesInABrowser(t *testing.T) {
	for _, l := range looks {
		t.Run(l.name, func(t *testing.T) {
			p := start(t, "--registration")
			b := newBrowser(t, l)
			b.do(chromedp.Navigate(p.url + "/login"))
			b.inspect("login-" + l.name)
			// Tab to the first field: past the skip link.
			b.do(chromedp.KeyEvent("\t"), chromedp.KeyEvent("\t"), chromedp.KeyEvent("alice"), chromedp.KeyEvent("\t"),
				chromedp.KeyEvent("not her password at all"), chromedp.KeyEvent("\r"))
			b.until(`document.querySelector("[role=alert]")?.textContent.includes("wrong")`)
			b.mu.Lock()
			b.problems = nil // the browser notes the 401 that was asked for
			b.mu.Unlock()
			b.do(chromedp.SendKeys(chromedp.CSS("#password"), demoPassword+"\r"))
			b.until(`document.querySelectorAll(".sessions li").length > 0`)
			b.inspect("account-" + l.name)

			// The live page's four sessions of Alice are there too: end them all.
			b.do(chromedp.Click(chromedp.CSS(`form[action="/sessions/others"] button`)))
			b.until(`document.querySelectorAll(".sessions li").length === 1`)

			b.do(chromedp.SendKeys(chromedp.CSS("#current"), demoPassword),
				chromedp.SendKeys(chromedp.CSS("#next"), "some other words instead\r"))
			b.until(`document.querySelector("[role=status]")?.textContent.includes("changed")`)
			b.do(chromedp.Click(chromedp.CSS(`form[action="/logout"] button`)))
			b.until(`document.body.textContent.includes("not signed in")`)

			b.do(chromedp.Navigate(p.url + "/register"))
			b.inspect("register-" + l.name)
			b.do(chromedp.SendKeys(chromedp.CSS("#identifier"), "newcomer"),
				chromedp.SendKeys(chromedp.CSS("#password"), "entirely new words here\r"))
			b.until(`document.body.textContent.includes("Signed in as newcomer")`)
			b.inspect("registered-" + l.name)
		})
	}
}

// The live page: four clients accepted, one press, four refusals with their
// times, and signed in again.
func TestLivePageInABrowser(t *testing.T) {
	for _, l := range looks {
		t.Run(l.name, func(t *testing.T) {
			p := start(t)
			b := newBrowser(t, l)
			b.do(chromedp.Navigate(p.service + "live"))
			verdicts := func(prefix string) string {
				return fmt.Sprintf(`[...document.querySelectorAll("[data-field=verdict]")].filter((v) => v.textContent.startsWith(%q)).length === 4`, prefix)
			}
			b.until(verdicts("accepted"))
			b.inspect("live-before-" + l.name)
			b.do(chromedp.Click(chromedp.CSS(`.revoke`)))
			b.until(verdicts("refused after"))
			b.until(`document.querySelector("#news").textContent.split(" ms").length === 5`)
			b.inspect("live-" + l.name)
			news, err := chromedp.Run(b.ctx, chromedp.Text(chromedp.CSS("#news")))
			t.Log(news, err)
			b.do(chromedp.Click(chromedp.CSS(`form[action="/live/signin"] button`)))
			b.until(verdicts("accepted"))
		})
	}
}

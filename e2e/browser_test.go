package e2e_test

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"

	"github.com/counterfoil/counterfoil/internal/testsvc"
)

var screenshots = flag.String("screenshots", "", "folder for a picture of each page")

// browser is a tab of a real Chromium, with the errors and warnings of its console.
type browser struct {
	t   *testing.T
	ctx context.Context

	problems chan string // what the console has said since the last look

	lang string // of the pages; empty: en
	axes string // axe-core, which looks at each page that is inspected; empty: it does not
}

// look is a configuration of the browser.
type look struct {
	name   string
	width  int64
	dark   bool
	script bool // JavaScript is enabled
}

// Each width and each color scheme, with JavaScript and without.
var looks = []look{
	{"desktop-light", 1280, false, true}, {"phone-dark", 390, true, true},
	{"desktop-dark-noscript", 1280, true, false}, {"phone-light-noscript", 390, false, false},
}

func newBrowser(t *testing.T, l look, flags ...chromedp.ExecAllocatorOption) *browser {
	t.Helper()
	scheme := "1"
	if l.dark {
		scheme = "0"
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(testsvc.Program(t, "chromium")), chromedp.WSURLReadTimeout(hung), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("blink-settings", "preferredColorScheme="+scheme))
	allocator, stop := chromedp.NewExecAllocator(context.Background(), append(opts, flags...)...)
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	b := &browser{t: t, ctx: ctx, problems: make(chan string, 1000)}
	messages := chromedp.Console(ctx)
	go func() {
		for m, err := range messages {
			if err != nil {
				return
			}
			if m.IsException() || m.Type == "error" || m.Type == "warning" {
				b.problems <- m.String()
			}
		}
	}()
	b.do(chromedp.EmulateViewport(l.width, 800))
	// This disables the scripts of the page. The browser still evaluates the scripts of the
	// test.
	_, err := chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !l.script})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, hung)
	defer cancel()
	if b.ctx.Err() == nil && chromedp.FromContext(b.ctx).Target == nil {
		ctx = b.ctx // the first run starts the browser, which must outlive a timeout
	}
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatalf("browser: %v\npage: %.600s", err, b.shown())
	}
}

// text is what the page says, when it is whole.
func (b *browser) text() string {
	b.t.Helper()
	b.until("document.body")
	return b.script("document.body.innerText")
}

// shown is text for the message of a failure, if the page still has one.
func (b *browser) shown() string {
	ctx, cancel := context.WithTimeout(b.ctx, 10*time.Second)
	defer cancel()
	text, _ := chromedp.Run(ctx, chromedp.Text(chromedp.CSS("body")))
	return text
}

// until waits for a condition of the page, in JavaScript, across navigations. It holds when the page is whole: the
// browser forgets the elements that it has named to a test when it has read the last of the page, and a click or a key
// for one of them would fail.
func (b *browser) until(condition string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, hung)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		// An error means that the browser is loading another page: try again.
		if ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`document.readyState === "complete" && !!(`+condition+")")); err == nil && ok {
			return
		}
		select {
		case <-ctx.Done():
			b.t.Fatalf("browser: %s never came true\npage: %.600s", condition, b.shown())
		case <-ticker.C:
		}
	}
}

// rules checks what must hold on every page. The page does not scroll sideways. It has one h1
// and a language. Each field has a label. No text leaves its place, and none is empty. The contrast of text and of the edges of fields is
// sufficient (WCAG 2.2: 1.4.3, 1.4.11). The script returns the problems.
const rules = `(() => {
	const wrong = [], root = document.documentElement;
	window.stops = [...document.querySelectorAll("input:not([type=hidden]), textarea, select, button, summary, a[href], [tabindex]")].filter((e) => e.checkVisibility() && e.tabIndex >= 0 && (e.type !== "radio" || e.checked)); // not what is folded; Tab reaches one of a group
	if (root.scrollWidth > window.innerWidth) wrong.push("scrolls sideways");
	if (root.lang !== "en" || document.querySelectorAll("h1").length !== 1 || !document.querySelector("main")) wrong.push("no language, heading or main part");
	const rgb = window.rgb = (text) => text.match(/[\d.]+/g).map(Number);
	const behind = window.behind = (e) => {
		for (; e; e = e.parentElement) {
			const c = rgb(getComputedStyle(e).backgroundColor);
			if (c.length === 3 || c[3] === 1) return c;
		}
		return [255, 255, 255];
	};
	const light = (c) => [0.2126, 0.7152, 0.0722].reduce((sum, weight, i) => {
		const v = c[i] / 255;
		return sum + weight * (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
	}, 0);
	const contrast = window.contrast = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
	for (const e of document.querySelectorAll("body *")) {
		if (!e.getClientRects().length) continue;
		const style = getComputedStyle(e), name = e.tagName + " " + e.textContent.trim().slice(0, 30);
		if ([...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()) && contrast(rgb(style.color), behind(e)) < 4.5) wrong.push("faint text: " + name);
		if (e.matches("input, textarea, select, button") && contrast(rgb(style.borderColor), behind(e.parentElement)) < 3 && contrast(behind(e), behind(e.parentElement)) < 3) wrong.push("faint edge: " + name);
		if (["block", "flex", "grid", "list-item"].includes(style.display) && style.overflowY === "visible" && e.clientHeight && e.scrollHeight > e.clientHeight + 8) wrong.push("text leaves its place: " + name);
		if (e.matches(".scroll") && e.scrollWidth > e.clientWidth + 1) wrong.push("a table is cut off: " + name);
		if (e.matches("p:not([role=status]), li, dd, h1, h2, h3") && !e.childElementCount && !e.textContent.trim()) wrong.push("empty: " + e.outerHTML);
		if (e.matches("[type=password]") && !e.dispatchEvent(new ClipboardEvent("paste", { bubbles: true, cancelable: true }))) wrong.push("nothing can be pasted: " + e.id);
		if (e.matches("input, textarea, select") && !e.labels.length || e.matches("button, a") && !(e.getAttribute("aria-label") || e.textContent.trim())) wrong.push("no name: " + e.outerHTML);
	}
	return wrong.join("; ");
})()`

// stop checks the element that the Tab key has reached. It must be the next one of the page,
// and must show that it has the focus (WCAG 2.2: 2.4.3, 2.4.7). The script returns the
// problem.
const stop = `(() => {
	const e = document.activeElement, next = window.stops.shift(), style = getComputedStyle(e);
	if (e !== next) return "Tab goes to " + e.outerHTML.slice(0, 80) + ", want " + next.outerHTML.slice(0, 80);
	const shows = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2 && contrast(rgb(style.outlineColor), behind(e.parentElement)) >= 3;
	return shows ? "" : "focus does not show on " + e.outerHTML.slice(0, 80);
})()`

// sized returns how many bytes the page has, which must be at most 60 KiB.
func (b *browser) sized(name string) (bytes int) {
	b.t.Helper()
	b.eval(`Promise.resolve(String(performance.getEntriesByType("navigation")[0].decodedBodySize))`, &bytes)
	if bytes > 60<<10 {
		b.t.Errorf("%s has %d bytes, want at most 60 KiB", name, bytes)
	}
	return bytes
}

// tabThrough presses Tab from the start of the page to its end.
func (b *browser) tabThrough(name string) {
	b.t.Helper()
	stops, err := chromedp.Run(b.ctx, chromedp.Evaluate[int]("window.stops.length"))
	for range stops {
		var wrong string
		if err == nil {
			b.do(chromedp.KeyEvent("\t"))
			wrong, err = chromedp.Run(b.ctx, chromedp.Evaluate[string](stop))
		}
		if err != nil || wrong != "" {
			b.t.Errorf("%s: %s, %v", name, wrong, err)
			return
		}
	}
}

// said returns what the console has said, and forgets it.
func (b *browser) said() (all []string) {
	for {
		select {
		case problem := <-b.problems:
			all = append(all, problem)
		default:
			return all
		}
	}
}

// newAxedBrowser is newBrowser, and axe looks at each page that it inspects. Without JavaScript axe cannot run: the
// same pages with it have the same elements, and more.
func newAxedBrowser(t *testing.T, l look) *browser {
	t.Helper()
	b := newBrowser(t, l)
	if l.script {
		b.axes = axeSource(t)
	}
	return b
}

// inspect checks rules, has axe look if the browser has it, and takes a picture of the page if the flag says so.
func (b *browser) inspect(name string) {
	b.t.Helper()
	b.until(`document.readyState === "complete"`) // without its style sheet no page keeps the rules
	kept := strings.Replace(rules, `"en"`, strconv.Quote(cmp.Or(b.lang, "en")), 1)
	if wrong, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](kept)); err != nil || wrong != "" {
		b.t.Errorf("%s: %s, %v", name, wrong, err)
	}
	if said := b.said(); len(said) > 0 {
		b.t.Errorf("%s: messages of the console: %s", name, strings.Join(said, "; "))
	}
	if b.axes != "" {
		b.axe(b.axes, name)
	}
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

// fill puts text into a field at once, as a paste does.
func (b *browser) fill(field, text string) {
	b.t.Helper()
	b.do(chromedp.Click(chromedp.CSS(field)))
	if _, err := chromedp.Call(b.ctx, input.InsertText, input.InsertTextParams{Text: text}); err != nil {
		b.t.Fatal(err)
	}
}

// A user of the pages, with the keyboard alone: sign in, see the session, revoke another
// session, change the password, sign out.
func TestPagesInABrowser(t *testing.T) {
	t.Parallel()
	for _, l := range looks {
		t.Run(l.name, func(t *testing.T) {
			p := start(t, "--registration")
			b := newBrowser(t, l)
			b.do(chromedp.Navigate(p.url + "/login"))
			b.inspect("login-" + l.name)
			b.tabThrough("login")
			b.do(chromedp.Navigate(p.url + "/login"))
			// The first Tab goes to the skip link, the second to the first field.
			b.do(chromedp.KeyEvent("\t"), chromedp.KeyEvent("\t"), chromedp.KeyEvent("alice"), chromedp.KeyEvent("\t"),
				chromedp.KeyEvent("not her password at all"), chromedp.KeyEvent("\r"))
			b.until(`document.querySelector("[role=alert]")?.textContent.includes("not right") && document.activeElement.id === "password"`)
			b.expected()
			b.do(chromedp.SendKeys(chromedp.CSS("#password"), demoPassword+"\r"))
			b.until(`document.querySelectorAll(".sessions li").length > 0`)
			b.inspect("account-" + l.name)
			b.tabThrough("account")

			// Alice also has the four sessions of the live page. This ends them all.
			b.do(chromedp.Click(chromedp.CSS(`form[action="/sessions/others"] button`)))
			b.until(`document.querySelector("[role=status]")?.textContent === "4 sessions were ended." && document.querySelectorAll(".sessions li").length === 1`)
			b.inspect("account-others-" + l.name)

			// What a password manager does: it looks for the form, and puts its text in at once.
			b.do(chromedp.Navigate(p.url + "/.well-known/change-password"))
			b.until(`location.pathname === "/password"`)
			b.inspect("password-" + l.name)
			b.tabThrough("password")
			b.do(chromedp.Navigate(p.url + "/password"))
			b.fill("#current", "not her password at all")
			b.fill("#next", "some other words instead")
			b.do(chromedp.KeyEvent("\r"))
			b.until(`document.querySelector("[role=alert]")?.textContent.includes("The current password is not right") && document.activeElement.id === "current"`)
			b.expected()
			b.inspect("password-wrong-" + l.name)
			b.do(chromedp.KeyEvent(demoPassword), chromedp.KeyEvent("\t")) // the focus is there
			b.fill("#next", "some other words instead")
			b.do(chromedp.KeyEvent("\r"))
			b.until(`location.pathname === "/" && document.querySelector("[role=status]")?.textContent.includes("changed")`)
			b.do(chromedp.Click(chromedp.CSS(`form[action="/logout"] button`)))
			b.until(`document.querySelector("[role=status]")?.textContent === "You are signed out."`)
			b.inspect("signed-out-" + l.name)

			b.do(chromedp.Navigate(p.url + "/register"))
			b.inspect("register-" + l.name)
			b.tabThrough("register")
			b.do(chromedp.SendKeys(chromedp.CSS("#identifier"), "newcomer"),
				chromedp.SendKeys(chromedp.CSS("#password"), "entirely new words here\r"))
			b.until(`document.body.textContent.includes("Signed in as newcomer")`)
			b.inspect("registered-" + l.name)
		})
	}
}

// The live page: four clients are accepted. One click revokes, and the page shows four
// refusals with their times. Then the clients sign in again.
func TestLivePageInABrowser(t *testing.T) {
	t.Parallel()
	p := start(t)
	for _, l := range looks {
		t.Run(l.name, func(t *testing.T) {
			b := newBrowser(t, l)
			b.do(chromedp.Navigate(p.service + "live"))
			verdicts := func(prefix string) string {
				return fmt.Sprintf(`[...document.querySelectorAll("[data-field=verdict]")].filter((v) => v.textContent.startsWith(%q)).length === 4`, prefix)
			}
			accepted := func() {
				if l.script { // the page updates itself
					b.until(verdicts("accepted"))
				}
				for again := true; again; { // without JavaScript the user reloads the page
					yes, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](verdicts("accepted")))
					if again = err != nil || !yes; again {
						b.do(chromedp.Navigate(p.service + "live"))
					}
				}
			}
			accepted()
			b.inspect("live-before-" + l.name)
			b.tabThrough("live")
			b.do(chromedp.Click(chromedp.CSS(`.revoke`)))
			b.until(verdicts("refused after"))
			b.until(`document.querySelector("#news").textContent.split(" ms").length === 5`)
			b.inspect("live-" + l.name)
			news, err := chromedp.Run(b.ctx, chromedp.Text(chromedp.CSS("#news")))
			t.Log(news, err)
			for again := true; again; { // a busy machine may take longer for four passwords than the page waits, and then the user tries again
				b.do(chromedp.Click(chromedp.CSS(`form[action="/live/signin"] button`)))
				b.until(`location.pathname === "/live/signin" || document.querySelectorAll("article").length === 4 && !document.querySelector("article.refused")`)
				late, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](`location.pathname === "/live/signin"`))
				if again = late && err == nil; again {
					b.do(chromedp.Navigate(p.service + "live"))
				}
			}
			accepted()
		})
	}
}

package e2e_test

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// A person answers the questions of /choose with the keyboard alone, with JavaScript and without,
// and gets a recommendation. The page before and after keeps the rules of every page, and axe finds
// nothing.
func TestChoosePage(t *testing.T) {
	t.Parallel()
	axe := axeSource(t)
	url := start(t).url + "/choose"
	for _, l := range append([]look{{"phone-small-light", 360, false, true}}, looks...) {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			b := newBrowser(t, l)
			look := func(name string) {
				t.Helper()
				b.inspect("choose-" + name + "-" + l.name)
				if l.script {
					b.axe(axe, name)
				}
			}
			b.do(chromedp.Navigate(url))
			look("questions")
			b.tabThrough("questions")

			b.do(chromedp.Navigate(url))
			for range 3 { // over the link to the content to the first question: pages, spa
				b.do(chromedp.KeyEvent(kb.Tab))
			}
			b.do(chromedp.KeyEvent(" "), chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(kb.Tab))
			b.do(chromedp.KeyEvent(kb.ArrowDown), chromedp.KeyEvent(kb.ArrowDown)) // of the second question
			b.do(chromedp.KeyEvent(kb.Enter))
			b.until(`location.search.startsWith("?clients=pages&clients=spa&servers=services&sites=one-host&") && document.querySelector(".advice")`)
			if text := b.text(); !strings.Contains(text, "Carrier of single-page apps") || !strings.Contains(text, "jwt-cookie") {
				t.Errorf("the page says %s", text)
			}
			look("advice")
			b.do(chromedp.Evaluate[chromedp.Void](`document.querySelectorAll("details").forEach((e) => e.open = true)`))
			look("advice-open")
			b.tabThrough("advice")
		})
	}
}

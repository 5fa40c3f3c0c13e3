package e2e_test

import (
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
)

// The HTML report of counterfoil compare opens from disk, on a phone and at a desk, light and dark. It
// keeps the rules of every page, axe finds nothing, and each plot is as wide as its place.
func TestComparePage(t *testing.T) {
	t.Parallel()
	axe, dir := axeSource(t), t.TempDir()
	page := filepath.Join(dir, "report.html")
	run(t, "compare", "--quick", "--rounds", "2", "--duration", "10ms", "--only", "bytes", "--only", "cpu", "--only", "network", "--only", "outage", "--dir", dir, "--format", "html", "--out", page)
	for _, l := range append([]look{{"phone-small-light", 360, false, true}}, looks...) {
		t.Run(l.name, func(t *testing.T) {
			b := newBrowser(t, l)
			b.do(chromedp.Navigate("file://" + page))
			b.inspect("compare-" + l.name)
			b.tabThrough("report")
			b.do(chromedp.Evaluate[chromedp.Void](`document.querySelectorAll("details").forEach((e) => e.open = true)`))
			b.inspect("compare-open-" + l.name)
			wrong, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](outside))
			if err != nil || wrong != "" {
				t.Errorf("%s, %v", wrong, err)
			}
			if l.script {
				b.axe(axe, "report")
			}
		})
	}
}

// outside returns what of a plot is drawn beyond the page, and plots without a mark.
const outside = `(() => {
	const wrong = [], marks = document.querySelectorAll(".draw use, .chart use, .chart text, .axis text");
	if (!document.querySelector(".chart") || !document.querySelector(".draw use")) wrong.push("nothing is drawn");
	for (const e of marks) {
		const at = e.getBoundingClientRect();
		if (at.width === 0 || at.left < 0 || at.right > window.innerWidth) wrong.push(e.outerHTML + " is at " + at.left + " to " + at.right);
	}
	return wrong.join("; ");
})()`

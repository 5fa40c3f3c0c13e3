package e2e_test

import (
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/source"
)

// navigated says what is wrong with the navigation of a page. Its links are there once, each at least 24 px high and wide (WCAG 2.2:
// 2.5.8), and one is this page. A menu is one line that names this page, and shows the links when it is open.
const navigated = `((menu, open) => {
	const wrong = [], nav = document.querySelector("nav"), summary = nav.querySelector("summary"), links = [...nav.querySelectorAll("a")];
	const here = links.filter((a) => a.ariaCurrent === "page"), shown = links.filter((a) => a.checkVisibility({ contentVisibilityAuto: true }));
	if (here.length !== 1 || new Set(links.map((a) => a.pathname)).size !== links.length) wrong.push("which link is this page?");
	if (summary.checkVisibility() !== menu) wrong.push("menu: " + !menu);
	if (menu && summary.querySelector("strong")?.textContent !== here[0]?.textContent) wrong.push("the menu says " + summary.innerText);
	if (menu && (summary.offsetHeight < 24 || summary.offsetHeight > 60 || !open && nav.offsetHeight > 64)) wrong.push("the menu is " + nav.offsetHeight + " px high");
	if (shown.length !== (menu && !open ? 0 : links.length)) wrong.push(shown.length + " of " + links.length + " links show");
	for (const a of shown) if (a.offsetHeight < 24 || a.offsetWidth < 24) wrong.push("small: " + a.textContent);
	return wrong.join("; ");
})`

// In a narrow window the navigation of the console and of the account is a menu of one line, which names the page and opens
// by the keyboard, without JavaScript too. In a wide one all links show. Both are the same elements.
func TestNavigationOfThePages(t *testing.T) {
	t.Parallel()
	for _, l := range append([]look{{"zoom-200", 640, false, true}}, looks...) {
		t.Run(l.name, func(t *testing.T) {
			auth, url, _ := embedded(t)
			u, _, _, err := auth.Users().CreateInvited(t.Context(), rights.Owner(), audit.Act{}, directory.User{Identifier: "boss@example.org", Roles: []string{"admin"}})
			if err != nil {
				t.Fatal(err)
			}
			b := newAxedBrowser(t, l)
			b.do(chromedp.Navigate(url + "/as?" + source.InsecureCookieName + "=" + loginOf(t, auth, u.ID, 0, "", "admin").Access.Reveal()))
			look := func(name, menu, open string) {
				t.Helper()
				if wrong := b.script("Promise.resolve(" + navigated + "(" + menu + "," + open + "))"); wrong != "" {
					t.Errorf("%s: %s", name, wrong)
				}
				b.inspect("nav-" + name + "-" + l.name)
			}
			visit := func(name, path string) {
				t.Helper()
				b.do(chromedp.Navigate(url + path))
				b.until(`document.querySelector("nav")`)
				if l.width > 960 {
					look(name, "false", "false")
					b.tabThrough(name)
					return
				}
				look(name, "true", "false")
				b.tabThrough(name)
				b.do(chromedp.Navigate(url+path), chromedp.Evaluate[chromedp.Void](`document.querySelector("summary").focus()`), chromedp.KeyEvent("\r"))
				b.until(`document.querySelector("nav details").open`)
				look(name+"-open", "true", "true")
				b.do(chromedp.Navigate(url+path), chromedp.Evaluate[chromedp.Void](`document.querySelector("nav details").open = true`))
				_ = b.script("Promise.resolve(" + rules + ")") // with the links as stops
				b.tabThrough(name + "-open")
			}
			visit("console", "/admin/users")
			visit("account", "/activity")
			b.do(chromedp.Click(chromedp.CSS("form[action='/language'] button")))
			b.until(`document.documentElement.lang === "de"`)
			b.lang = "de"
			visit("account-de", "/apps")
		})
	}
}

// openMenu opens the navigation where it is a menu.
func (b *browser) openMenu() {
	b.t.Helper()
	b.do(chromedp.Evaluate[chromedp.Void](`{ const menu = document.querySelector("nav summary"); if (menu.checkVisibility()) menu.click() }`))
}

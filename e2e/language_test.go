package e2e_test

import (
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// A browser that asks for German gets it, on a telephone: German texts are longer, and no page scrolls sideways. Each page says that it is
// in German, keeps the rules of every page, and axe finds nothing.
func TestPagesInGermanInABrowser(t *testing.T) {
	t.Parallel()
	_, url, _ := mailing(t)
	b := newAxedBrowser(t, look{"phone-light", 390, false, true})
	b.lang = "de"
	german := emulation.SetUserAgentOverrideParams{UserAgent: agent, AcceptLanguage: "de"}
	if _, err := chromedp.Call(b.ctx, emulation.SetUserAgentOverride, german); err != nil {
		t.Fatal(err)
	}
	see := func(name, path, title string) {
		t.Helper()
		b.do(chromedp.Navigate(url + path))
		b.until(`document.title.startsWith("` + title + ` · ")`)
		b.inspect("german-" + name)
	}
	see("login", "/login", "Anmelden")
	b.signIn("ada@example.com", "not her password at all")
	b.until(`document.title.startsWith("Fehler: ") && document.querySelector("[role=alert]")`)
	b.expected()
	b.inspect("german-login-wrong")
	see("forgot", "/forgot", "Passwort vergessen?")
	b.fill("#identifier", "ada@example.com")
	b.do(chromedp.KeyEvent("\r"))
	b.until(`document.querySelector("#code")`)
	b.inspect("german-code")
	see("welcome", "/welcome", "Passwort wählen")
	see("register", "/register", "Konto anlegen")
	b.fill("#identifier", "eva@example.com")
	b.fill("#password", chosen2)
	b.do(chromedp.KeyEvent("\r"))
	b.until(`location.pathname === "/" && document.body.innerText.includes("Angemeldet als eva@example.com")`)
	see("sessions", "/", "Ihre Sitzungen")
	see("activity", "/activity", "Aktivität")
	see("apps", "/apps", "Verbundene Apps")
	see("password", "/password", "Passwort ändern")
	see("address", "/address", "Ihre E-Mail-Adresse")
}

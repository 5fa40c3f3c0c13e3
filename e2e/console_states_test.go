package e2e_test

import (
	"context"
	"fmt"
	"regexp"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/counterfoil/counterfoil/outbox"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/store"
)

// anyID is the part of an address of the console that names one thing.
var anyID = regexp.MustCompile(`^(/admin/(?:users|sessions|clients|apikeys|keys|outbox|revoked|monitor/(?:checks|incidents|channels)))/[^/]+`)

// deadLetters are the ids of letters that the server could not deliver. Some have names that are long.
func deadLetters(t *testing.T, auth *server.Embedded, s store.Store) (ids []string) {
	t.Helper()
	auth.Outbox().Handle("mail", func(context.Context, outbox.Item) error {
		return &outbox.Failure{Reason: "recipient: the server says 550 5.1.1 <somebody@department.example.org>: Recipient address rejected: User unknown in virtual mailbox table", Permanent: true}
	})
	var batch store.Batch
	for _, d := range []outbox.Draft{
		{Kind: "mail", About: "reset", Subject: "usr_aaaaaaaaaaaaaaaaaaaaaaaaaa"}, {Kind: "mail", About: "down: The shop with a long name that wraps on a telephone", Lane: "people-who-are-on-call-at-night"}, {Kind: "mail", About: "verify"},
	} {
		rec, err := auth.Outbox().Record(d)
		if err != nil {
			t.Fatal(err)
		}
		batch.Put = append(batch.Put, rec)
	}
	if _, err := s.Commit(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	auth.Outbox().Wake()
	for begun := time.Now(); time.Since(begun) < patience(); pause(20 * time.Millisecond) {
		all, _, err := auth.Outbox().List(t.Context(), outbox.Dead, "", 10)
		if err != nil {
			t.Fatal(err)
		}
		if len(all) == len(batch.Put) {
			for _, e := range all {
				ids = append(ids, e.ID)
			}
			return ids
		}
	}
	t.Fatal("the letters do not die")
	return nil
}

// watching fills in the forms of the monitor: a mute, an incident, and the test of a channel that cannot be reached. It returns the address of
// the form for a note of the incident.
func (c *consoleLooks) watching(url string) (note string) {
	b := c.b
	b.t.Helper()
	open := func(path, name string) {
		b.t.Helper()
		b.do(chromedp.Navigate(url + path))
		b.until(`document.querySelector("main form button")`)
		c.see(name)
	}
	open("/admin/monitor/checks/shop/mute", "form-mute")
	b.fill("#why", "The disks are replaced tonight, and the shop is away for a while")
	b.press("Mute")
	b.until(`document.querySelector("[role=status]")`)
	c.see("muted")
	open("/admin/new/incident", "form-incident")
	b.fill("#title", "Payments by card are slow, and some are refused")
	b.fill("#text", "The bank answers late. Nothing is charged twice.")
	b.press("Announce it")
	b.until(`document.querySelector("a[href$='/note']")`)
	c.see("announced")
	note = b.script(`document.querySelector("a[href$='/note']").getAttribute("href")`)
	open("/admin/monitor/channels/ops/test", "form-channel")
	b.press("Send a test")
	b.until(`document.querySelector("[role=alert]")?.textContent.includes("did not arrive")`)
	c.see("channel-failed")
	return note
}

// done looks at what pages say after forms of letters and users. Last the browser is one of the user leaver.
func (c *consoleLooks) done(url string, letters []string, user, leaver string) {
	b := c.b
	b.t.Helper()
	for _, form := range []struct{ name, path, button, heading, done string }{
		{"redeliver", "/admin/outbox/" + letters[0] + "/redeliver", "Send again", "Outbox", "redelivered"},
		{"drop", "/admin/outbox/" + letters[1] + "/drop", "Drop", "Outbox", "dropped"},
		{"disable", "/admin/users/" + user + "/disable", "Disable and end all sessions", longName, "disabled"},
		{"enable", "/admin/users/" + user + "/enable", "Enable", longName, "enabled"},
		{"impersonate", "/admin/users/" + leaver + "/impersonate", "Sign in as the user", "", "acting"},
	} {
		b.do(chromedp.Navigate(url + form.path))
		b.until(`document.querySelector("main form button")`)
		c.see("form-" + form.name)
		if form.name == "disable" || form.name == "impersonate" {
			b.fill("#confirm", b.script(`document.querySelector("label[for=confirm] .name").textContent`))
		}
		if form.name == "impersonate" {
			b.fill("#reason", "a call about an order that is missing")
		}
		b.press(form.button)
		b.until(fmt.Sprintf(`document.querySelector("h1").textContent.includes(%q) && !document.querySelector("main .fields")`, form.heading))
		c.see(form.done)
	}
}

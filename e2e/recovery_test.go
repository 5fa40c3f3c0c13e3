package e2e_test

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/emersion/go-smtp"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/secret"
	counterfoilmail "github.com/counterfoil/counterfoil/mail"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/store/memory"
)

// letter is a mail that a server took.
type letter struct{ to, subject, text string }

var (
	mailedCode = regexp.MustCompile(`\b\d{8}\b`)
	mailedLink = regexp.MustCompile(`https?://\S+#\S+`)
)

// mailbox is an SMTP server, and what it took.
type mailbox chan letter

type delivery struct {
	box mailbox
	to  string
}

func (d *delivery) Mail(string, *smtp.MailOptions) error { return nil }
func (d *delivery) Rcpt(to string, _ *smtp.RcptOptions) error {
	d.to = to
	return nil
}
func (d *delivery) Reset()        {}
func (d *delivery) Logout() error { return nil }

func (d *delivery) Data(r io.Reader) error {
	m, err := mail.ReadMessage(r)
	if err != nil {
		return err
	}
	text, err := plainPart(m)
	if err != nil {
		return err
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	d.box <- letter{d.to, subject, text}
	return err
}

// plainPart is the part of a mail in plain text.
func plainPart(m *mail.Message) (string, error) {
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		return "", err
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	for {
		part, err := parts.NextRawPart()
		if err != nil {
			return "", err
		}
		if strings.HasPrefix(part.Header.Get("Content-Type"), "text/plain") {
			data, err := io.ReadAll(part)
			if err == nil && part.Header.Get("Content-Transfer-Encoding") == "quoted-printable" {
				data, err = io.ReadAll(quotedprintable.NewReader(bytes.NewReader(data)))
			}
			return string(data), err
		}
	}
}

func startMailbox(t *testing.T) (box mailbox, url string) {
	t.Helper()
	box = make(mailbox, 100)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &delivery{box: box}, nil }))
	s.Domain = "mail.test"
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		_ = s.Close()
		if err := <-done; err != nil && !errors.Is(err, smtp.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
	return box, "smtp://" + l.Addr().String()
}

// next is the next mail to an address.
func (m mailbox) next(t *testing.T, to string) letter {
	t.Helper()
	select {
	case got := <-m:
		if got.to != to {
			t.Fatalf("a mail to %s: %s, want one to %s", got.to, got.subject, to)
		}
		return got
	case <-time.After(hung):
		t.Fatalf("no mail to %s", to)
	}
	return letter{}
}

// mailing is a server in this process that sends mail by SMTP, with the user ada@example.com.
func mailing(t *testing.T) (auth *server.Embedded, url string, box mailbox) {
	t.Helper()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/as" {
			w.Header().Set("Set-Cookie", r.URL.RawQuery+"; Path=/; HttpOnly; SameSite=Lax")
			http.Redirect(w, r, "/", http.StatusSeeOther)
			return
		}
		auth.ServeHTTP(w, r)
	}))
	t.Cleanup(web.Close)
	box, smarthost := startMailbox(t)
	auth, err := server.Open(t.Context(), server.Config{
		Store: memory.New(), URL: web.URL, InsecureHashes: true, Registration: true, SignInByMail: true,
		Mail: counterfoilmail.Options{URL: smarthost, From: "auth@example.com", InsecurePlaintext: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = auth.Close() })
	if _, err := auth.Users().Register(t.Context(), rights.Owner(), audit.Act{}, "ada@example.com", "", secret.New(forgotten), nil); err != nil {
		t.Fatal(err)
	}
	return auth, web.URL, box
}

const forgotten, chosen2 = "what ada has forgotten", "what ada chose instead"

// LOGIN-12, LOGIN-14: a forgotten password, at each width, with JavaScript and without: by the code where it
// was asked for, and by the link in another browser. Other devices are signed out, and the address is told.
func TestForgottenPasswordInABrowser(t *testing.T) {
	t.Parallel()
	for n, l := range looks {
		t.Run(l.name, func(t *testing.T) {
			auth, url, box := mailing(t)
			u, err := auth.Users().ByIdentifier(t.Context(), "ada@example.com")
			if err != nil {
				t.Fatal(err)
			}
			other := newBrowser(t, looks[0])
			other.do(chromedp.Navigate(url + "/as?cf=" + loginOf(t, auth, u.ID, time.Minute, "x").Access.Reveal()))
			other.until(`document.body.innerText.includes("ada@example.com")`)

			b := newAxedBrowser(t, l)
			b.do(chromedp.Navigate(url + "/login"))
			b.press("Forgot your password?")
			b.until(`document.title.startsWith("Forgot")`)
			b.inspect("forgot-" + l.name)
			b.tabThrough("forgot-" + l.name)
			b.fill("#identifier", "Ada@example.com")
			b.do(chromedp.KeyEvent("\r"))
			b.until(`document.querySelector("#code")`)
			b.inspect("code-" + l.name)
			got := box.next(t, "ada@example.com")
			code, link := mailedCode.FindString(got.text), mailedLink.FindString(got.text)
			if code == "" || !strings.HasPrefix(link, url+"/welcome#") {
				t.Fatalf("the mail has the code %q and the link %q: %s", code, link, got.text)
			}
			if n%2 == 0 {
				b.fill("#code", "00000000")
				b.do(chromedp.KeyEvent("\r"))
				b.until(`document.querySelector("#code-problem") && document.activeElement.id === "code"`)
				b.expected()
				b.inspect("code-wrong-" + l.name)
				b.fill("#code", code[:4]+" "+code[4:])
				b.do(chromedp.KeyEvent("\r"))
			} else { // the link, opened in another browser
				b = newAxedBrowser(t, l)
				b.do(chromedp.Navigate(link))
				if !l.script {
					b.until(`document.querySelector("#token")`)
					b.fill("#token", link)
				}
			}
			b.until(`document.querySelector("#password") && document.querySelector("#token").value`)
			if l.script || n%2 == 0 { // it is known already, and no person needs to see it
				b.until(`!document.querySelector("#token").checkVisibility()`)
			}
			b.inspect("forgot-chosen-" + l.name)
			b.fill("#password", chosen2)
			b.do(chromedp.KeyEvent("\r"))
			b.until(`document.body.innerText.includes("Your password is set")`)
			b.signIn("ada@example.com", chosen2)
			b.until(`document.body.innerText.includes("Signed in as ada@example.com")`)
			if got := box.next(t, "ada@example.com"); got.subject != "Your password was changed" {
				t.Errorf("the address is told %q", got.subject)
			}
			other.do(chromedp.Navigate(url + "/"))
			other.until(`document.body.innerText.includes("You are not signed in")`)
		})
	}
}

// The way of an address in a browser: who signs up confirms it, changes it by the code, and gets the one before
// back by the link. The button of a link is all that its page shows with JavaScript, and opening it does nothing.
func TestAddressInABrowser(t *testing.T) {
	t.Parallel()
	for _, l := range looks {
		t.Run(l.name, func(t *testing.T) {
			_, url, box := mailing(t)
			b := newAxedBrowser(t, l)
			b.do(chromedp.Navigate(url + "/register"))
			b.until(`document.querySelector("#identifier")`)
			b.fill("#identifier", "eve@example.com")
			b.fill("#password", chosen2)
			b.do(chromedp.KeyEvent("\r"))
			b.until(`document.body.innerText.includes("Signed in as eve@example.com")`)
			follow := func(got letter, button string) {
				t.Helper()
				link := mailedLink.FindString(got.text)
				b.do(chromedp.Navigate(link))
				if shows := button == "Confirm the address"; shows && l.script { // the page goes on by itself
					b.until(`document.querySelector("[name=sure]")`)
				} else {
					b.until(`document.querySelector("#token")`)
					if l.script {
						b.until(`!document.querySelector("#token").getClientRects().length && location.hash === ""`)
					} else {
						b.fill("#token", link)
					}
					if shows {
						b.press("Go on")
						b.until(`document.querySelector("[name=sure]")`)
					}
				}
				b.inspect("link-" + l.name)
				b.press(button)
			}
			follow(box.next(t, "eve@example.com"), "Confirm the address")
			b.until(`document.body.innerText.includes("Your e-mail address is confirmed")`)
			b.inspect("address-" + l.name)
			b.tabThrough("address-" + l.name)
			b.fill("#address", "eve@example.org")
			b.do(chromedp.KeyEvent("\r"))
			b.until(`document.querySelector("#code")`)
			b.fill("#code", mailedCode.FindString(box.next(t, "eve@example.org").text))
			b.do(chromedp.KeyEvent("\r"))
			b.until(`document.body.innerText.includes("Your e-mail address was changed")`)
			follow(box.next(t, "eve@example.com"), "Undo the change")
			b.until(`document.querySelector("#password")`)
			b.fill("#password", "what eve chose at last")
			b.do(chromedp.KeyEvent("\r"))
			b.until(`document.body.innerText.includes("Your password is set")`)
			b.signIn("eve@example.com", "what eve chose at last")
			b.until(`document.body.innerText.includes("Signed in as eve@example.com")`)
		})
	}
}

// Who wants no password signs in by a code.
func TestSignInByMailInABrowser(t *testing.T) {
	t.Parallel()
	for _, l := range looks {
		t.Run(l.name, func(t *testing.T) {
			auth, url, box := mailing(t)
			u, err := auth.Users().ByIdentifier(t.Context(), "ada@example.com")
			if err != nil {
				t.Fatal(err)
			}
			_, err = auth.Users().Update(t.Context(), rights.Owner(), u.ID, audit.Act{}, func(u *directory.User) error { u.Verified = time.Now(); return nil })
			if err != nil {
				t.Fatal(err)
			}
			b := newAxedBrowser(t, l)
			b.do(chromedp.Navigate(url + "/login"))
			b.until(`document.querySelector("#identifier")`)
			b.inspect("login-mail-" + l.name)
			b.fill("#identifier", "ada@example.com")
			b.press("Mail me a code instead")
			b.until(`document.querySelector("#answer")`)
			b.inspect("code-signin-" + l.name)
			b.fill("#answer", mailedCode.FindString(box.next(t, "ada@example.com").text))
			b.do(chromedp.KeyEvent("\r"))
			b.until(`document.body.innerText.includes("Signed in as ada@example.com")`)
		})
	}
}

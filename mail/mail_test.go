package mail_test

import (
	"bytes"
	"io"
	"log/slog"
	"maps"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	netmail "net/mail"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/catalog"
	"github.com/counterfoil/counterfoil/mail"
)

// parts returns the text and the HTML of a mail.
func parts(t *testing.T, m *netmail.Message) (text, html string) {
	t.Helper()
	kind, how, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatal(kind, err)
	}
	r := multipart.NewReader(m.Body, how["boundary"])
	for {
		p, err := r.NextRawPart()
		if err == io.EOF {
			return text, html
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(quotedprintable.NewReader(p))
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(p.Header.Get("Content-Type"), "text/html") {
			html = string(body)
		} else {
			text = string(body)
		}
	}
}

// templates are those that the texts have.
func templates(t *testing.T) (all []string) {
	t.Helper()
	for key := range texts(t, "en") {
		if name, is := strings.CutSuffix(key, ".subject"); is {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return all
}

func texts(t *testing.T, code string) map[string]string {
	t.Helper()
	all, err := catalog.Read(os.DirFS("texts"), code+".txt")
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Each template is a mail in each language: text and HTML say the same, nothing is loaded, and the
// headers say that no program shall answer.
func TestEveryMail(t *testing.T) {
	t.Parallel()
	h := newHost(t, "starttls")
	o := h.options()
	o.From, o.ReplyTo, o.Host = "Müller & <auth@example.com>", "help@example.com", "auth.example.com"
	o.From = `"Müller & Co" <auth@example.com>`
	o.Brand = mail.Brand{Name: "Müller & <Co>", Accent: "#aa0000", OnAccent: "#ffffff"}
	s, _, db := post(t, o)
	link := "https://auth.example.com/reset#cft_a-b?c=d&e=<f>"
	at := time.Date(2026, 11, 30, 16, 5, 0, 0, time.UTC)
	for _, name := range templates(t) {
		for _, language := range []string{"en", "de", "fr"} {
			_, buttoned := texts(t, "en")[name+".button"]
			m := mail.Message{
				Template: name, To: "bob@bücher.example", Language: language, Code: "12345678", Subject: "usr_1",
				Args: []mail.Arg{mail.Time(at), mail.Text("<b>two</b>"), mail.Text("3"), mail.Text("4")}, Expires: time.Now().Add(time.Hour),
			}
			if buttoned {
				m.Link = link
			}
			if name == "notice" {
				m.Args, m.Lines = []mail.Arg{mail.Text("shop is down")}, []string{"<script>", "second line"}
			}
			before := len(h.taken())
			commit(t, s, db, m)
			h.wait(before + 1)
			got := h.taken()[before]
			parsed, err := netmail.ReadMessage(strings.NewReader(got.text))
			if err != nil {
				t.Fatal(err)
			}
			if got.to != "bob@xn--bcher-kva.example" {
				t.Errorf("to %s", got.to)
			}
			subject, err := new(mime.WordDecoder).DecodeHeader(parsed.Header.Get("Subject"))
			if err != nil || subject == "" || strings.Contains(subject, "{") {
				t.Errorf("%s: the subject is %q, %v", name, subject, err)
			}
			from, err := netmail.ParseAddress(parsed.Header.Get("From"))
			if err != nil || from.Name != "Müller & Co" || from.Address != "auth@example.com" {
				t.Errorf("from %v, %v", from, err)
			}
			for header, want := range map[string]string{
				"Auto-Submitted": "auto-generated", "Reply-To": "<help@example.com>", "Content-Language": map[string]string{"en": "en", "de": "de", "fr": "en"}[language],
				"User-Agent": "", "X-Mailer": "", "Bcc": "", "Cc": "",
			} {
				if is := parsed.Header.Get(header); is != want {
					t.Errorf("%s: %s is %q, want %q", name, header, is, want)
				}
			}
			if id := parsed.Header.Get("Message-ID"); !regexp.MustCompile(`^<[0-9a-z]{32}@example\.com>$`).MatchString(id) {
				t.Errorf("Message-ID is %s", id)
			}
			text, html := parts(t, parsed)
			for _, want := range []string{"12345678", m.Link} {
				if !strings.Contains(text, want) {
					t.Errorf("%s: %q is not in the text %s", name, want, text)
				}
			}
			if buttoned && !strings.Contains(html, `href="https://auth.example.com/reset#cft_a-b?c=d&amp;e=%3cf%3e"`) {
				t.Errorf("%s: the link is not in %s", name, html)
			}
			for _, bad := range []string{"<script", "<b>two", "<img", "src=", "url(", "ZgotmplZ", "{0}", "{brand}", "<Co>", "\x00"} {
				if strings.Contains(html, bad) {
					t.Errorf("%s: %q is in %s", name, bad, html)
				}
			}
			if strings.Contains(text, "{") || !strings.Contains(text, "auth.example.com") {
				t.Errorf("%s: %s", name, text)
			}
		}
	}
}

// Each language has all texts, with the same places.
func TestTexts(t *testing.T) {
	t.Parallel()
	english, places := texts(t, "en"), regexp.MustCompile(`\{\w+\}`)
	other := texts(t, "de")
	for key, text := range english {
		want, got := places.FindAllString(text, -1), places.FindAllString(other[key], -1)
		slices.Sort(want)
		slices.Sort(got)
		if other[key] == "" || !slices.Equal(slices.Compact(want), slices.Compact(got)) {
			t.Errorf("%s = %q, in English %q", key, other[key], text)
		}
	}
	for key := range maps.Keys(other) {
		if english[key] == "" {
			t.Errorf("%s is in no other language", key)
		}
	}
}

// Nothing that a caller gives becomes a header, an address more, or a line of SMTP.
func TestInjection(t *testing.T) {
	t.Parallel()
	h := newHost(t, "starttls")
	s, _, db := post(t, h.options())
	for _, m := range []mail.Message{
		{To: "bob@example.org\r\nBcc: eve@example.org"}, {To: "bob@example.org\r\n"}, {To: "bob@example.org, eve@example.org"}, {To: "bob@example.org eve@example.org"},
		{To: "Bob <bob@example.org>"}, {To: "<bob@example.org>"}, {To: "bob"}, {To: "@example.org"}, {To: "bob@"}, {To: "a@b@example.org"}, {To: "bob@exa mple.org"},
		{To: `"bob\n"@example.org`}, {To: "bob@example.org>"}, {To: "bob@[127.0.0.1]"}, {To: "böb@example.org"}, {To: "bob@example.org", Args: []mail.Arg{mail.Text("a\r\nBcc: eve@example.org")}},
		{To: "bob@example.org", Args: []mail.Arg{mail.Text("a\nb")}}, {To: "bob@example.org", Args: []mail.Arg{mail.Text("a\u2028b")}}, {To: "bob@example.org", Link: "https://a\nb"},
		{To: "bob@example.org", Code: "1\r\n.\r\n"}, {To: "bob@example.org", Args: []mail.Arg{mail.Text("a")}, Lines: []string{"a\r\n.\r\nMAIL FROM:<x@y>"}},
		{To: "bob@example.org"}, {To: "bob@example.org", Template: "none"}, {To: strings.Repeat("a", 250) + "@example.org"},
	} {
		if m.Template == "" {
			m.Template = "notice"
		}
		if _, err := s.Record(m); err == nil {
			t.Errorf("%+v is taken", m)
		}
	}
	commit(t, s, db, mail.Message{Template: "notice", To: "bob@example.org", Args: []mail.Arg{mail.Text("=?utf-8?q?a=0D=0ABcc:_eve=40example.org?= " + strings.Repeat("ä", 300))}, Lines: []string{".", "..", "From: eve"}})
	h.wait(1)
	parsed, err := netmail.ReadMessage(strings.NewReader(h.taken()[0].text))
	if err != nil || parsed.Header.Get("Bcc") != "" || parsed.Header.Get("From") == "eve" {
		t.Errorf("%v, %v", parsed.Header, err)
	}
	text, _ := parts(t, parsed)
	if !strings.HasPrefix(text, ".\r\n\r\n..\r\n\r\nFrom: eve\r\n") {
		t.Errorf("%q", text)
	}
}

// The word log, with or without a colon, writes the mail to the log, with its link.
func TestLog(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"log", "log:"} {
		var log bytes.Buffer
		s := sender(t, mail.Options{URL: url, From: "auth@example.com", Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if steps, _, f := walk(t, s); f != nil || len(steps) != 1 || !strings.Contains(log.String(), "bob@example.org") || !strings.Contains(log.String(), "Test of the mail") {
			t.Errorf("%s: %v, %+v, %s", url, steps, f, log.String())
		}
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"", "mail.example.com", "http://a", "smtp://", "smtp://u:p@host", "smtp://host/x", "smtp://host?x", "smtp://host:nothing", "log:x", "log://"} {
		if mail.CheckURL(url) == nil {
			t.Errorf("the URL %q is taken", url)
		}
	}
	for _, from := range []string{"", "a", "a@b@c", "A <a@example.org>, B <b@example.org>", "a@example.org\r\nBcc: x@y", "A\u202e <a@example.org>"} {
		if mail.CheckSender(from) == nil {
			t.Errorf("the sender %q is taken", from)
		}
	}
	if _, err := mail.New(mail.Options{URL: "log:", From: "auth@example.com", RootCAs: "/none"}); err != nil {
		t.Error(err)
	}
}

package mail_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	netmail "net/mail"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/mail"
	"github.com/counterfoil/counterfoil/outbox"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
)

// host is a real SMTP server in this process.
type host struct {
	*testing.T
	address string // 127.0.0.1 and the port
	roots   string // file of its certificate
	tls     *tls.Config

	mu    sync.Mutex
	mails []taken
	live  []*smtp.Conn
	tries int
	more  chan struct{} // has a token when there is another mail

	mail, rcpt, data func() error // nil: all is taken
	password         string       // empty: nobody signs in
	ways             []string     // to sign in; nil: PLAIN
	auth             sasl.Server  // nil: what the way is
}

type taken struct {
	from, to, text string
	tls            bool
	user, way      string // who signed in, and how
}

type hostSession struct {
	*host
	conn *smtp.Conn
	one  taken
}

func (h *host) NewSession(c *smtp.Conn) (smtp.Session, error) {
	h.mu.Lock()
	if !slices.Contains(h.live, c) { // STARTTLS begins another session
		h.live = append(h.live, c)
	}
	h.mu.Unlock()
	return &hostSession{host: h, conn: c}, nil
}

func (s *hostSession) Reset()        { s.one = taken{user: s.one.user, way: s.one.way} }
func (s *hostSession) Logout() error { return nil }

func asked(f func() error) error {
	if f == nil {
		return nil
	}
	return f()
}

func (s *hostSession) Mail(from string, _ *smtp.MailOptions) error {
	s.mu.Lock()
	s.tries++
	s.mu.Unlock()
	_, s.one.tls = s.conn.TLSConnectionState()
	s.one.from = from
	return asked(s.host.mail)
}

func (s *hostSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.one.to = to
	return asked(s.rcpt)
}

func (s *hostSession) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if err := asked(s.data); err != nil {
		return err
	}
	s.one.text = string(text)
	s.mu.Lock()
	s.mails = append(s.mails, s.one)
	s.mu.Unlock()
	select {
	case s.more <- struct{}{}:
	default:
	}
	return nil
}

func (h *host) taken() []taken {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.mails)
}

// wait returns when n mails have come.
func (h *host) wait(n int) {
	h.Helper()
	for len(h.taken()) < n {
		select {
		case <-h.more:
		case <-h.Context().Done():
			h.Fatal("not all mails came")
		}
	}
}

// certificate makes one for a name, and a file that has it.
func certificate(t *testing.T, name string) (*tls.Config, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	if ip := net.ParseIP(name); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{name}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, file
}

// newHost starts a server: with STARTTLS, with TLS from the first byte, or with none.
func newHost(t *testing.T, how string) *host {
	t.Helper()
	h := &host{T: t, more: make(chan struct{}, 1)}
	h.tls, h.roots = certificate(t, "127.0.0.1")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := smtp.NewServer(h)
	s.Domain, s.AllowInsecureAuth, s.EnableSMTPUTF8 = "mail.test", true, true
	s.ErrorLog = quiet{}
	h.address = l.Addr().String()
	switch how {
	case "starttls":
		s.TLSConfig = h.tls
	case "tls":
		l = tls.NewListener(l, h.tls)
	}
	var running sync.WaitGroup
	running.Go(func() { _ = s.Serve(l) })
	t.Cleanup(func() { _ = s.Close(); running.Wait() })
	return h
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}

func (h *host) options() mail.Options {
	return mail.Options{URL: "smtp://" + h.address, From: "auth@example.com", RootCAs: h.roots, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
}

func sender(t *testing.T, o mail.Options) *mail.Sender {
	t.Helper()
	s, err := mail.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// walk sends a test, and returns the steps that succeeded, and how it failed.
func walk(t *testing.T, s *mail.Sender) (steps []mail.Step, at mail.Step, f *outbox.Failure) {
	t.Helper()
	at, err := s.Test(t.Context(), "bob@example.org", func(step mail.Step, _ string) { steps = append(steps, step) })
	if err != nil && !errors.As(err, &f) {
		t.Fatal(err)
	}
	return steps, at, f
}

// A mail goes through each step, encrypted, and signed in where the settings say so.
func TestSends(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, how string
		set       func(h *host, o *mail.Options)
		steps     string
		tls       bool
	}{
		{"STARTTLS", "starttls", nil, "name connect tls sender recipient mail", true},
		{"TLS", "tls", func(h *host, o *mail.Options) { o.URL = "smtps://" + h.address }, "name connect tls sender recipient mail", true},
		{"signed in", "starttls", func(h *host, o *mail.Options) {
			h.password = "pass word"
			o.URL, o.Password = "smtp://auth%40example.com@"+h.address, secret.New("pass word")
		}, "name connect tls sign-in sender recipient mail", true},
		{"insecure, and encrypted where it can be", "starttls", func(_ *host, o *mail.Options) { o.InsecurePlaintext = true }, "name connect tls sender recipient mail", true},
		{"insecure", "plain", func(_ *host, o *mail.Options) { o.InsecurePlaintext = true }, "name connect sender recipient mail", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t, c.how)
			o := h.options()
			if c.set != nil {
				c.set(h, &o)
			}
			steps, _, f := walk(t, sender(t, o))
			if f != nil || strings.Join(strings.Fields(fmt.Sprint(steps)), " ") != "["+c.steps+"]" {
				t.Errorf("%v, %+v", steps, f)
			}
			got := h.taken()
			if len(got) != 1 || got[0].tls != c.tls || got[0].from != "auth@example.com" || got[0].to != "bob@example.org" || (got[0].user != "") != (h.password != "") {
				t.Errorf("%+v", got)
			}
		})
	}
}

// answer is what a server says.
func answer(code int, says string) func() error {
	return func() error { return &smtp.SMTPError{Code: code, EnhancedCode: smtp.NoEnhancedCode, Message: says} }
}

// Each failure is about a step. It says whether it is about the mail, for now or for good, or about the
// server. What is kept of it has no address, and nothing of the mail (LOGIN-16, OPS-01).
func TestFailures(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, how              string
		set                    func(h *host, o *mail.Options)
		at                     mail.Step
		says                   string
		permanent, unreachable bool
	}{
		{"nobody listens", "starttls", func(_ *host, o *mail.Options) { o.URL = "smtp://127.0.0.1:1" }, mail.StepConnect, "nobody listens there", false, true},
		{"no such name", "starttls", func(_ *host, o *mail.Options) { o.URL = "smtp://mail.invalid:25" }, mail.StepName, "mail.invalid", false, true},
		{"no STARTTLS", "plain", nil, mail.StepTLS, "offers no STARTTLS", false, true},
		{"another's certificate", "starttls", func(h *host, o *mail.Options) { _, o.RootCAs = certificate(h.T, "127.0.0.1") }, mail.StepTLS, "certificate of 127.0.0.1 is not good", false, true},
		{"a certificate for another name", "starttls", func(h *host, o *mail.Options) {
			config, roots := certificate(h.T, "mail.test")
			h.tls.Certificates, o.RootCAs = config.Certificates, roots
		}, mail.StepTLS, "certificate of 127.0.0.1 is not good", false, true},
		{"TLS from the first byte", "starttls", func(h *host, o *mail.Options) { o.URL = "smtps://" + h.address }, mail.StepTLS, "speaks no TLS there", false, true},
		{"wrong password", "starttls", func(h *host, o *mail.Options) {
			h.password, o.URL, o.Password = "right", "smtp://auth@"+h.address, secret.New("wrong")
		}, mail.StepSignIn, "535", false, true},
		{"no way to sign in", "starttls", func(h *host, o *mail.Options) { o.URL, o.Password = "smtp://auth@"+h.address, secret.New("x") }, mail.StepSignIn, "no way to sign in", false, true},
		{"a password without encryption", "plain", func(h *host, o *mail.Options) {
			h.password, o.URL, o.Password = "right", "smtp://auth@"+h.address, secret.New("right")
		}, mail.StepTLS, "offers no STARTTLS", false, true},
		{"sender refused", "starttls", func(h *host, _ *mail.Options) { h.mail = answer(550, "5.7.1 not yours") }, mail.StepSender, "550 5.7.1 not yours", true, false},
		{"recipient unknown", "starttls", func(h *host, _ *mail.Options) {
			h.rcpt = answer(550, "5.1.1 <bob@example.org>: bob does not live here")
		}, mail.StepRecipient, "550 5.1.1 <[address]>: [address] does not live here", true, false},
		{"greylisted", "starttls", func(h *host, _ *mail.Options) { h.rcpt = answer(451, "4.7.1 come back") }, mail.StepRecipient, "451 4.7.1 come back", false, false},
		{"refused by its text", "starttls", func(h *host, _ *mail.Options) {
			h.data = answer(554, "spam: https://example.com/reset#cft_abcdefghijklmnopqrstuvwxyz0123456789 12345678")
		}, mail.StepMail, "554 spam: https://example.com/reset?… …", true, false},
		{"the server goes", "starttls", func(h *host, _ *mail.Options) { h.mail = answer(421, "4.3.2 shutting down") }, mail.StepSender, "421", false, true},
		{"the server goes at one recipient", "starttls", func(h *host, _ *mail.Options) { h.rcpt = answer(421, "4.3.2 bob@example.org shuts me down") }, mail.StepRecipient, "421", false, false},
		{"it wants a sign-in", "starttls", func(h *host, _ *mail.Options) { h.mail = answer(530, "5.7.0 sign in first") }, mail.StepSender, "530", false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t, c.how)
			o := h.options()
			if c.set != nil {
				c.set(h, &o)
			}
			_, at, f := walk(t, sender(t, o))
			if f == nil {
				t.Fatal("it was sent")
			}
			if at != c.at || !strings.Contains(f.Reason, c.says) || !strings.HasPrefix(f.Reason, string(at)+": ") || f.Permanent != c.permanent || f.Unreachable != c.unreachable {
				t.Errorf("at %s: %+v", at, f)
			}
			for _, leak := range []string{"bob", "abcdefghijkl", "12345678", "right", "wrong"} {
				if strings.Contains(f.Error(), leak) {
					t.Errorf("%q has %q", f, leak)
				}
			}
			if len(h.taken()) != 0 {
				t.Error("the server has a mail")
			}
			reached, err := sender(t, o).Reach(t.Context())
			if early := slices.Contains([]mail.Step{mail.StepName, mail.StepConnect, mail.StepTLS, mail.StepSignIn}, c.at); (err != nil) != early || early && reached != c.at {
				t.Errorf("Reach: at %s: %v", reached, err)
			}
		})
	}
}

// A server that ends the connection in the middle of a mail may have it: the mail is tried again.
func TestDiesInTheMiddle(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprint(conn, "220 mail.test\r\n")
		buf := make([]byte, 4096)
		for _, says := range []string{"250 mail.test", "250 ok", "250 ok", "354 go on"} {
			if _, err := conn.Read(buf); err != nil {
				return
			}
			fmt.Fprint(conn, says+"\r\n")
		}
		_, _ = conn.Read(buf)
	}()
	_, at, f := walk(t, sender(t, mail.Options{URL: "smtp://" + l.Addr().String(), From: "auth@example.com", InsecurePlaintext: true}))
	if f == nil || at != mail.StepMail || f.Permanent || f.Unreachable || f.Reason != "mail: the connection ended before the server had taken the mail" {
		t.Errorf("at %s: %+v", at, f)
	}
}

// A server that is slow to take a mail is waited for. When the time for it is over, it may have the mail: the mail is
// tried again.
func TestSlow(t *testing.T) {
	t.Parallel()
	h := newHost(t, "starttls")
	has, slow := make(chan struct{}), make(chan struct{})
	answers := sync.OnceFunc(func() { close(slow) })
	defer answers()
	var mails atomic.Int32
	h.data = func() error {
		if mails.Add(1) == 2 {
			close(has)
			<-slow
		}
		return nil
	}
	s := sender(t, h.options())
	if _, _, f := walk(t, s); f != nil {
		t.Fatalf("%+v", f)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	type outcome struct {
		at  mail.Step
		err error
	}
	ended := make(chan outcome, 1)
	go func() {
		at, err := s.Test(ctx, "bob@example.org", func(mail.Step, string) {})
		ended <- outcome{at, err}
	}()
	<-has // the whole mail, on the connection of the mail before, and says nothing
	select {
	case o := <-ended:
		t.Fatalf("it was not waited for: at %s: %v", o.at, o.err)
	default:
	}
	cancel()
	o := <-ended
	var f *outbox.Failure
	if !errors.As(o.err, &f) || o.at != mail.StepMail || f.Permanent || f.Unreachable || f.Reason != "mail: the server did not answer in time" {
		t.Errorf("at %s: %v", o.at, o.err)
	}
	answers()
	if _, _, f := walk(t, s); f != nil || len(h.live) != 2 {
		t.Errorf("the next mail, on connection %d: %+v", len(h.live), f)
	}
}

// post is a sender with an outbox that runs.
func post(t *testing.T, o mail.Options) (*mail.Sender, *outbox.Outbox, store.Store) {
	t.Helper()
	db := memory.New()
	trail, err := audit.New(audit.Options{Store: db, Hook: func(audit.Entry) {}, Anchor: func(audit.Seal) {}})
	if err != nil {
		t.Fatal(err)
	}
	key := func(label string) []byte { sum := sha256.Sum256([]byte(label)); return sum[:] }
	box, err := outbox.New(outbox.Options{Store: db, Key: key, Audit: trail, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	o.Outbox = box
	s := sender(t, o)
	box.Handle(mail.Kind, s.Deliver)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { box.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return s, box, db
}

func commit(t *testing.T, s *mail.Sender, db store.Store, messages ...mail.Message) {
	t.Helper()
	var b store.Batch
	for _, m := range messages {
		rec, err := s.Record(m)
		if err != nil {
			t.Fatal(err)
		}
		b.Put = append(b.Put, rec)
	}
	if _, err := db.Commit(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	s.Wake()
}

// A mail that is greylisted comes with the next try, under the same Message-ID. Mails that follow each other
// use the connections that are there.
func TestThroughTheOutbox(t *testing.T) {
	t.Parallel()
	h := newHost(t, "starttls")
	var once sync.Once
	var later error
	h.rcpt = func() error { later = nil; once.Do(func() { later = answer(451, "4.7.1 come back")() }); return later }
	s, _, db := post(t, h.options())
	commit(t, s, db, mail.Message{Template: "test", To: "bob@example.org", Args: []mail.Arg{mail.Time(time.Now())}})
	h.wait(1)
	h.rcpt = nil
	var many []mail.Message
	for range 50 {
		many = append(many, mail.Message{Template: "test", To: "bob@example.org", Args: []mail.Arg{mail.Time(time.Now())}})
	}
	commit(t, s, db, many...)
	h.wait(51)
	ids := map[string]bool{}
	for _, m := range h.taken() {
		parsed, err := netmail.ReadMessage(strings.NewReader(m.text))
		if err != nil {
			t.Fatal(err)
		}
		ids[parsed.Header.Get("Message-ID")] = true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(ids) != 51 || h.tries != 52 || len(h.live) > 6 {
		t.Errorf("%d ids, %d tries, %d connections", len(ids), h.tries, len(h.live))
	}
}

// A connection that the server has closed meanwhile costs nothing.
func TestClosedMeanwhile(t *testing.T) {
	t.Parallel()
	h := newHost(t, "starttls")
	s := sender(t, h.options())
	for n, want := range []int{1, 1, 2} {
		if n == 2 {
			for _, c := range h.live {
				_ = c.Conn().Close()
			}
		}
		if _, _, f := walk(t, s); f != nil {
			t.Fatalf("mail %d: %+v", n, f)
		}
		h.mu.Lock()
		if len(h.live) != want {
			t.Errorf("%d connections after mail %d, want %d", len(h.live), n, want)
		}
		h.mu.Unlock()
	}
}

package mail

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	gomail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"

	"github.com/counterfoil/counterfoil/internal/textfile"
)

const (
	signInWithin = 30 * time.Second // for all until a mail can be sent
	quitWithin   = 2 * time.Second
	idleFor      = 15 * time.Second // a connection is kept for the next mail
	perSession   = 50               // mails on one connection: servers have limits
	maxIdle      = 4
)

// smarthost is the SMTP server that takes our mails.
type smarthost struct {
	place
	password func() string
	domain   string // of the sender: how we name ourselves
	insecure bool
	tls      *tls.Config

	mu     sync.Mutex // guards what follows: deliveries share it
	idle   []*session
	closed bool
}

// session is a connection on which mails can be sent.
type session struct {
	client *smtp.Client
	conn   net.Conn    // nil: not yet
	uncut  func() bool // the context of the connecting no longer ends it
	sent   int
	since  time.Time // idle
}

// newSmarthost returns nil if mails are written to the log.
func newSmarthost(o *Options, from string) (*smarthost, error) {
	p, err := parseURL(o.URL)
	if err != nil {
		return nil, fmt.Errorf("Options.URL %w", err)
	}
	if p.host == "" {
		return nil, nil
	}
	h := &smarthost{
		place: p, password: o.Password.Reveal, domain: domainOf(from), insecure: o.InsecurePlaintext,
		tls: &tls.Config{ServerName: p.host, MinVersion: tls.VersionTLS12},
	}
	if o.RootCAs != "" {
		if h.tls.RootCAs, err = readRoots(o.RootCAs); err != nil {
			return nil, err
		}
	}
	return h, nil
}

func readRoots(path string) (*x509.CertPool, error) {
	pem, err := textfile.Read(path)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s has no certificate", path)
	}
	return roots, nil
}

// CheckRoots says whether path may be Options.RootCAs.
func CheckRoots(path string) error {
	_, err := readRoots(path)
	return err
}

// connect makes a session, and tells t what has succeeded.
func (h *smarthost) connect(ctx context.Context, t *track) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, signInWithin)
	defer cancel()
	policy := gomail.TLSMandatory
	switch {
	case h.implicit:
		policy = gomail.NoTLS // the connection has it from the first byte
	case h.insecure:
		policy = gomail.TLSOpportunistic
	}
	config := h.tls.Clone()
	config.VerifyConnection = func(state tls.ConnectionState) error {
		t.reached(StepTLS, "encrypted with "+tls.VersionName(state.Version)+", and the certificate is good for "+h.host)
		return nil
	}
	port, err := strconv.Atoi(h.port)
	if err != nil {
		return nil, err
	}
	s := &session{}
	how := []gomail.Option{
		gomail.WithPort(port), gomail.WithTimeout(signInWithin), gomail.WithTLSPolicy(policy), gomail.WithTLSConfig(config),
		gomail.WithoutNoop(), gomail.WithoutSMTPUTF8(), gomail.WithHELO(h.domain),
		gomail.WithDialContextFunc(func(context.Context, string, string) (net.Conn, error) {
			conn, err := h.dial(ctx, s, t)
			if err != nil || !h.implicit {
				return conn, err
			}
			encrypted := tls.Client(conn, config)
			return encrypted, encrypted.HandshakeContext(ctx)
		}),
	}
	if h.user != "" {
		how = append(how, gomail.WithSMTPAuthCustom(&signIn{h, nil}))
	}
	c, err := gomail.NewClient(h.host, how...)
	if err == nil {
		s.client, err = c.DialToSMTPClientWithContext(ctx)
	}
	if s.uncut != nil {
		s.uncut()
	}
	if err != nil {
		s.cut()
		return nil, t.failure(ctx, err)
	}
	if h.user != "" {
		t.reached(StepSignIn, "signed in as "+h.user)
	}
	t.at = StepSender
	return s, nil
}

// dial connects. The end of ctx ends the connection, until uncut is called.
func (h *smarthost) dial(ctx context.Context, s *session, t *track) (net.Conn, error) {
	addresses, err := net.DefaultResolver.LookupHost(ctx, h.host)
	if err != nil {
		return nil, err
	}
	t.reached(StepName, h.host+" is "+strings.Join(addresses, ", "))
	s.conn, err = new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(h.host, h.port))
	if err != nil {
		return nil, err
	}
	conn := s.conn
	s.uncut = context.AfterFunc(ctx, func() { _ = conn.Close() })
	t.reached(StepConnect, "connected to "+conn.RemoteAddr().String())
	return conn, nil
}

// cut ends a connection without a word.
func (s *session) cut() {
	if s.conn != nil {
		_ = s.conn.Close()
	}
}

// quit ends a connection in good order, if the server is quick.
func (s *session) quit() {
	if s.client.UpdateDeadline(quitWithin) == nil {
		_ = s.client.Quit()
	}
	s.cut()
}

// take returns a connection that is idle, or nil.
func (h *smarthost) take() (s *session) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(h.idle) > 0 && s == nil {
		last := len(h.idle) - 1
		s, h.idle = h.idle[last], h.idle[:last]
		if time.Since(s.since) > idleFor {
			s.cut()
			s = nil
		}
	}
	return s
}

// keep keeps s for the next mail.
func (h *smarthost) keep(s *session) {
	s.sent++
	s.since = time.Now()
	h.mu.Lock()
	room := !h.closed && len(h.idle) < maxIdle && s.sent < perSession
	if room {
		h.idle = append(h.idle, s)
	}
	h.mu.Unlock()
	if !room {
		s.quit()
	}
}

// close ends the connections that are idle, and those that others give back from now on.
func (h *smarthost) close() {
	h.mu.Lock()
	idle := h.idle
	h.idle, h.closed = nil, true
	h.mu.Unlock()
	for _, s := range idle {
		s.quit()
	}
}

// errUsed means that a connection that was kept is no longer good, and the server has taken nothing.
var errUsed = errors.New("the connection was closed meanwhile")

// send sends a mail, on a connection that is there or on a new one.
func (h *smarthost) send(ctx context.Context, mail []byte, from, to string, t *track) error {
	if s := h.take(); s != nil {
		if err := h.sendOn(ctx, s, mail, from, to, t, true); !errors.Is(err, errUsed) {
			return err
		}
	}
	s, err := h.connect(ctx, t)
	if err != nil {
		return err
	}
	return h.sendOn(ctx, s, mail, from, to, t, false)
}

func (h *smarthost) sendOn(ctx context.Context, s *session, mail []byte, from, to string, t *track, used bool) error {
	defer context.AfterFunc(ctx, s.cut)()
	if deadline, ok := ctx.Deadline(); ok {
		_ = s.client.UpdateDeadline(time.Until(deadline))
	}
	err := s.client.Mail("<" + from + ">")
	if _, answered := errors.AsType[*textproto.Error](err); err != nil && used && !answered && ctx.Err() == nil {
		s.cut()
		return errUsed
	}
	if err == nil {
		t.reached(StepSender, "mail from "+from+" is taken")
		err = s.client.Rcpt("<" + to + ">")
	}
	if err == nil {
		t.reached(StepRecipient, "mail for "+to+" is taken")
		err = s.write(mail, t)
	}
	if err != nil {
		s.cut()
		return t.failure(ctx, err)
	}
	h.keep(s)
	return nil
}

// write sends the mail itself.
func (s *session) write(mail []byte, t *track) error {
	w, err := s.client.Data()
	if err != nil {
		return err
	}
	t.body = true
	if _, err := bytes.NewReader(mail).WriteTo(w); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	says := "the server has the mail"
	if d, ok := w.(*smtp.DataCloser); ok {
		says += ": " + redact(d.ServerResponse(), t.to)
	}
	t.reached(StepMail, says)
	return nil
}

// signIn chooses how the server learns who we are. A password goes over the wire encrypted, unless the
// options say otherwise.
type signIn struct {
	to     *smarthost
	chosen smtp.Auth
}

var errNoWay = errors.New("the server offers no way to sign in that is known: SCRAM-SHA-256, PLAIN, LOGIN or CRAM-MD5")

// Start begins with the way that shows the server least.
func (a *signIn) Start(server *smtp.ServerInfo) (way string, first []byte, err error) {
	user, pass := a.to.user, a.to.password()
	for _, way := range []struct {
		name string
		auth smtp.Auth
	}{
		{"SCRAM-SHA-256", smtp.ScramSHA256Auth(user, pass)},
		{"PLAIN", smtp.PlainAuth("", user, pass, a.to.host, a.to.insecure)},
		{"LOGIN", smtp.LoginAuth(user, pass, a.to.host, a.to.insecure)},
		{"CRAM-MD5", smtp.CRAMMD5Auth(user, pass)},
	} {
		if slices.Contains(server.Auth, way.name) {
			a.chosen = way.auth
			return a.chosen.Start(server)
		}
	}
	return "", nil, errNoWay
}

// Next goes on.
func (a *signIn) Next(says []byte, more bool) ([]byte, error) { return a.chosen.Next(says, more) }

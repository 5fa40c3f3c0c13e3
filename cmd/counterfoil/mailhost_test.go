package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/rogpeppe/go-internal/testscript"
)

// mailHost is an SMTP server with TLS from the first byte. It writes the mails that it takes to a file, and refuses
// recipients while another file is there.
type mailHost struct {
	mu            sync.Mutex // one mail at a time is written
	mails, refuse string
}

type mailVisit struct{ *mailHost }

func (mailVisit) Reset()                               {}
func (mailVisit) Logout() error                        { return nil }
func (mailVisit) Mail(string, *smtp.MailOptions) error { return nil }

func (h mailVisit) Rcpt(string, *smtp.RcptOptions) error {
	if _, err := os.Stat(h.refuse); err == nil {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "nobody here has that name"}
	}
	return nil
}

func (h mailVisit) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	f, err := os.OpenFile(h.mails, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")), '\n'))
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}

// startMailHost starts an SMTP server: smtps VARIABLE CA MAILS REFUSE puts its address into the variable, and its
// certificate and the mails into files. While the file REFUSE is there, no recipient is taken.
func startMailHost(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: smtps VARIABLE CA MAILS REFUSE")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	cert := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
	ts.Check(err)
	h := &mailHost{mails: ts.MkAbs(args[2]), refuse: ts.MkAbs(args[3])}
	s := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return mailVisit{h}, nil }))
	s.Domain = "mail.test"
	var running sync.WaitGroup
	running.Go(func() { _ = s.Serve(l) })
	ts.Defer(func() { _ = s.Close(); running.Wait() })
	ts.Setenv(args[0], fmt.Sprint(l.Addr()))
}

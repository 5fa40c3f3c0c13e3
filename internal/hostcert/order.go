package hostcert

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"golang.org/x/crypto/acme"
)

// account is that of the program at the CA.
type account struct {
	mu     sync.Mutex // guards client
	client *acme.Client
}

// forget has the next order look for the account at the CA again.
func (a *account) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.client = nil
}

// client returns a client with an account. The CA is asked for one when it is first needed, and knows the key of an
// account that it has.
func (s *Set) client(ctx context.Context) (*acme.Client, error) {
	s.account.mu.Lock()
	defer s.account.mu.Unlock()
	if s.account.client != nil {
		return s.account.client, nil
	}
	key, err := s.files.accountKey()
	if err != nil {
		return nil, err
	}
	c := &acme.Client{
		Key: key, DirectoryURL: s.opts.Directory, UserAgent: "counterfoil",
		HTTPClient: &http.Client{Timeout: 30 * time.Second}, RetryBackoff: again,
	}
	contact := []string(nil)
	if s.opts.Email != "" {
		contact = []string{"mailto:" + s.opts.Email}
	}
	accepted := ""
	_, err = c.Register(ctx, &acme.Account{Contact: contact}, func(terms string) bool { accepted = terms; return true })
	if err == nil {
		s.opts.Logger.Info("account made", "ca", s.opts.Directory, "terms_accepted", accepted)
	} else if !errors.Is(err, acme.ErrAccountAlreadyExists) {
		return nil, fmt.Errorf("account: %w", err)
	}
	s.account.client = c
	return c, nil
}

// again is how long to wait before a request is sent to the CA again; 0: it is not. The pauses of the host are for a CA that
// has had too many.
func again(n int, _ *http.Request, res *http.Response) time.Duration {
	if n > 3 || res.StatusCode == http.StatusTooManyRequests {
		return 0
	}
	return time.Duration(n) * 500 * time.Millisecond
}

// order gets a certificate of h, with a key of its own.
func (s *Set) order(ctx context.Context, h *host) (*tls.Certificate, error) {
	client, err := s.client(ctx)
	if err != nil {
		return nil, err
	}
	order, err := client.AuthorizeOrder(ctx, acme.DomainIDs(h.name))
	if err != nil {
		return nil, err
	}
	for _, at := range order.AuthzURLs {
		if err := s.authorize(ctx, client, at, h); err != nil {
			return nil, err
		}
	}
	if order, err = client.WaitOrder(ctx, order.URI); err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{h.name}}, key)
	if err != nil {
		return nil, err
	}
	chain, _, err := client.CreateCertFromOrder(ctx, order, request, true)
	if err != nil {
		return nil, err
	}
	pair, err := encode(&tls.Certificate{Certificate: chain, PrivateKey: key})
	if err != nil {
		return nil, err
	}
	made, err := tls.X509KeyPair(pair, pair) // the certificate is of the key
	if err == nil {
		err = made.Leaf.VerifyHostname(h.name)
	}
	return &made, err
}

// authorize shows the CA that h is here. Each attempt tries one way: an attempt that fails counts against
// a limit of the CA.
func (s *Set) authorize(ctx context.Context, client *acme.Client, at string, h *host) error {
	authorization, err := client.GetAuthorization(ctx, at)
	if err != nil || authorization.Status == acme.StatusValid {
		return err
	}
	way := tlsALPN
	if h.mu.Lock(); s.opts.HTTP && h.failed.Count%2 == 1 {
		way = http01
	}
	h.mu.Unlock()
	n := slices.IndexFunc(authorization.Challenges, func(c *acme.Challenge) bool { return c.Type == way })
	if n < 0 {
		return fmt.Errorf("the CA does not offer the challenge %s", way)
	}
	challenge := authorization.Challenges[n]
	file, err := s.answer(client, challenge, h)
	if err != nil {
		return err
	}
	defer func() { _ = s.files.remove(file) }()
	if _, err := client.Accept(ctx, challenge); err != nil {
		return err
	}
	if _, err = client.WaitAuthorization(ctx, at); err != nil {
		return fmt.Errorf("%s: %w", way, err)
	}
	return nil
}

// The ways in which a CA looks whether a host is here.
const (
	tlsALPN = "tls-alpn-01"
	http01  = "http-01"
)

// answer puts what the CA is to find into a file, and returns its name.
func (s *Set) answer(client *acme.Client, c *acme.Challenge, h *host) (file string, err error) {
	if c.Type == http01 {
		response, err := client.HTTP01ChallengeResponse(c.Token)
		if err != nil {
			return "", err
		}
		return s.files.respond(c.Token, response)
	}
	pair, err := client.TLSALPN01ChallengeCert(c.Token, h.name)
	if err != nil {
		return "", err
	}
	return h.name + challengeFile, s.files.keep(h.name+challengeFile, &pair)
}

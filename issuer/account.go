package issuer

import (
	"context"
	"fmt"
	"slices"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/clients"
)

// Account is [Issuer.Current] for a caller that wants to act on the whole session, its
// subject's other sessions, or the account. by is how the credential came.
//
// Services have the tokens of their clients, too. None of them may open the account with
// one (TOK-21). So a token in a header counts if its audience names the issuer itself, and
// if its client opens the account: clients.Client.Opens. What was made for a cookie, and
// comes in one, goes nowhere else, and always counts, unless it is of an impersonation. A copy that belongs to the grant of
// another client than the session's own never does, nor does the cookie of another host.
//
// A copy that is not meant for the issuer is ErrInvalidToken here. One of a client that may
// not is ErrForbidden, as a [Forbidden].
func (i *Issuer) Account(ctx context.Context, credential string, by counterfoil.Transport) (*counterfoil.Session, error) {
	s, _, err := i.account(ctx, credential, by)
	if err == nil && s.Actor != "" {
		return nil, acted(s)
	}
	return s, err
}

// Visit is [Issuer.Account] for a caller that shows the session, or takes it to a host of its client,
// and does nothing else to the account: an impersonation may do that, too.
func (i *Issuer) Visit(ctx context.Context, credential string, by counterfoil.Transport) (*counterfoil.Session, error) {
	s, _, err := i.account(ctx, credential, by)
	return s, err
}

func acted(s *counterfoil.Session) error {
	return &Forbidden{s.Actor, fmt.Sprintf("session %s is an impersonation, and opens no account", s.ID)}
}

// Administration is [Issuer.Account] for a caller that wants to administer. Its client opens
// the administration; or it is a cookie of the client default, which is that of the pages.
func (i *Issuer) Administration(ctx context.Context, credential string, by counterfoil.Transport) (*counterfoil.Session, error) {
	s, c, err := i.account(ctx, credential, by)
	if err != nil {
		return nil, err
	}
	if s.Actor != "" {
		return nil, acted(s)
	}
	pages := c.ID == clients.Default && s.Carrier.Transport == counterfoil.Cookie && by == counterfoil.Cookie
	if !pages && c.Opens != clients.OpensAdministration {
		return nil, &Forbidden{s.Subject, fmt.Sprintf("client %s does not open the administration", c.ID)}
	}
	return s, nil
}

// Forbidden is the ErrForbidden of who holds a good credential that may not do what was asked.
type Forbidden struct {
	Subject string
	why     string
}

func (f *Forbidden) Error() string { return counterfoil.ErrForbidden.Error() + ": " + f.why }

func (f *Forbidden) Unwrap() error { return counterfoil.ErrForbidden }

func (i *Issuer) account(ctx context.Context, credential string, by counterfoil.Transport) (*counterfoil.Session, *clients.Client, error) {
	s, h, err := i.lookup(ctx, credential, i.present)
	if err != nil {
		return nil, nil, err
	}
	if h.host != nil { // a host is less trusted than the issuer, and sees it
		return nil, nil, &Forbidden{s.Subject, fmt.Sprintf("the cookie of session %s is for %s alone", s.ID, h.host.Origin)}
	}
	if s.Client != h.row.Client {
		return nil, nil, &Forbidden{s.Subject, fmt.Sprintf("client %s has a grant on session %s, which is not its own", s.Client, s.ID)}
	}
	if s.Carrier.Transport == counterfoil.Cookie && by == counterfoil.Cookie {
		return s, h.client, nil
	}
	if !slices.Contains(s.Audience, i.opts.URL) {
		return nil, nil, fmt.Errorf("audience of %s: %w", s.ID, counterfoil.ErrInvalidToken)
	}
	if !h.client.OpensAccount() {
		return nil, nil, &Forbidden{s.Subject, fmt.Sprintf("tokens of client %s do not open the account", s.Client)}
	}
	return s, h.client, nil
}

package compare

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/server"
)

var quiet = slog.New(slog.DiscardHandler)

// authChild is the auth server of our contenders, in a child. Its exported methods are for net/rpc.
type authChild struct {
	ctx      context.Context
	open     openFunc
	store    *observedStore
	embedded *server.Embedded
	web      *listening
}

// AuthReply says where the server is.
type AuthReply struct{ URL, Key string }

// Open starts the server, with its store at place.
func (a *authChild) Open(place string, reply *AuthReply) (err error) {
	ctx, cancel := context.WithTimeout(a.ctx, 30*time.Second)
	defer cancel()
	s, err := a.open(ctx, place)
	if err != nil {
		return err
	}
	a.store = &observedStore{Store: s}
	if a.web, err = listen(); err != nil {
		return err
	}
	reply.URL = "http://" + a.web.address()
	a.embedded, err = server.Open(ctx, server.Config{
		Store: a.store, URL: reply.URL, SealKey: [32]byte{1}, NoVerifier: true, InsecureHashes: true, Logger: quiet,
		Audit: func(audit.Entry) {},
	})
	if err != nil {
		return err
	}
	a.web.serve(a.embedded)
	_, key, err := a.embedded.Users().NewKey(ctx, rights.Program(), audit.Act{}, directory.APIKey{
		Client: "compare", Scopes: []string{directory.ScopeAdmin, directory.ScopeFeed, directory.ScopeIntrospect},
	})
	reply.Key = key.Reveal()
	return err
}

// LoginPlan is which sessions to make.
type LoginPlan struct {
	Contender string
	From, N   int // numbers of the subjects
	Life      time.Duration
}

// logins is how many sessions are made at once.
const logins = 16

// each calls do for n numbers from from on, several at once.
func each(from, n int, do func(number int) (Credential, error)) ([]Credential, error) {
	all, errs := make([]Credential, n), make([]error, logins)
	var wg sync.WaitGroup
	for w := range logins {
		wg.Go(func() {
			for i := w; i < n && errs[w] == nil; i += logins {
				all[i], errs[w] = do(from + i)
			}
		})
	}
	wg.Wait()
	return all, errors.Join(errs...)
}

// Login makes sessions.
func (a *authChild) Login(p LoginPlan, reply *[]Credential) (err error) {
	carrier, ok := carrierOf(p.Contender)
	if !ok {
		return fmt.Errorf("%s has no carrier", p.Contender)
	}
	c := Contender{Transport: transportName(carrier.Transport)}
	*reply, err = each(p.From, p.N, func(n int) (Credential, error) {
		in, err := a.login(fmt.Sprintf("usr_%s_%d", carrier, n), carrier)
		if err != nil {
			return Credential{}, err
		}
		return Credential{Field: c.field(in.Access.Reveal()), ID: in.Session.ID, Refresh: in.Refresh.Reveal()}, nil
	})
	return err
}

func (a *authChild) login(subject string, carrier counterfoil.Carrier) (*issuer.Issued, error) {
	rev, err := a.embedded.Issuer().SubjectRev(a.ctx, subject)
	if err != nil {
		return nil, err
	}
	return a.embedded.Issuer().Login(a.ctx, login.Proof{
		Subject: subject, Methods: []string{"pwd"}, At: time.Now(), SubjectRev: rev, Roles: []string{"staff"},
	}, issuer.Request{Carrier: carrier})
}

// Counts are the questions to the store of the server.
func (a *authChild) Counts(_ struct{}, reply *Counts) error {
	*reply = a.store.counts()
	return nil
}

// Impair impairs the way to the store of the server.
func (a *authChild) Impair(i Impairment, _ *struct{}) error {
	a.store.impaired.Store(&i)
	return nil
}

// Usage is what the process has used.
func (a *authChild) Usage(collect bool, reply *Usage) error {
	*reply = usage(collect)
	return nil
}

func (a *authChild) close() error {
	if a.web != nil {
		a.web.close()
	}
	var err error
	if a.embedded != nil {
		err = a.embedded.Close()
	}
	if a.store != nil {
		err = errors.Join(err, a.store.Close())
	}
	return err
}

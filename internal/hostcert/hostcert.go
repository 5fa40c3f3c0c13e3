// Package hostcert gets the TLS certificates of hosts from a CA by ACME (RFC 8555), keeps them in a folder, and
// renews them. Call [Open], then [Set.SetHosts], and [Set.Run] while the program runs. A listener serves them with
// [Set.Over].
//
// Only Run asks the CA, and only for the hosts that were set. A handshake never does: what a visitor sends costs the
// CA nothing. A host for which there is no certificate yet is refused, and others are served. After a failure the
// CA is asked again after a minute, and then more and more seldom. The folder keeps that, so that a program which
// is started again and again asks no more often than one that runs.
//
// Several programs may share the folder, also while one takes the place of another: one of them asks for a host, and each of
// them answers the CA.
package hostcert

import (
	"cmp"
	"context"
	"crypto/tls"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/acme"
)

// LetsEncrypt is the directory of Let's Encrypt.
const LetsEncrypt = acme.LetsEncryptURL

// Options of Open.
type Options struct {
	Directory string // URL of the directory of the CA; its terms of service are accepted
	Email     string // where the CA writes to; empty: nowhere
	Folder    string // of all CAs; it is made if it is missing
	HTTP      bool   // the CA may ask at port 80, where [Set.HTTP] answers

	Logger *slog.Logger
}

// Set has the certificates of some hosts. It is safe for concurrent use.
type Set struct {
	opts    Options
	files   folder
	account account
	room    chan struct{} // orders at the same time
	changed chan struct{} // hosts may have; capacity 1

	mu    sync.Mutex // guards hosts, and the stop of each
	hosts map[string]*host
}

// Open reads what the folder has. Its error is a [*private.Error] if other users of the machine could read the keys.
func Open(o Options) (*Set, error) {
	files, err := openFolder(o.Folder, o.Directory)
	if err != nil {
		return nil, err
	}
	return &Set{opts: o, files: files, room: make(chan struct{}, 4), changed: make(chan struct{}, 1), hosts: map[string]*host{}}, nil
}

// SetHosts puts hosts in the place of those before. A host that is still there, and for which the CA is to be asked later because
// that has failed, is asked for sooner: an operator may have mended what was wrong.
func (s *Set) SetHosts(names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, h := range s.hosts {
		if !slices.Contains(names, name) {
			if h.stop != nil {
				h.stop()
			}
			delete(s.hosts, name)
		}
	}
	for _, name := range names {
		h := s.hosts[name]
		if h == nil {
			h = &host{name: name, changed: make(chan struct{}, 1)}
			s.hosts[name] = h
			s.read(h)
		}
		h.hurry()
	}
	signal(s.changed)
}

// signal notes in a channel with room for one that something has changed.
func signal(changed chan struct{}) {
	select {
	case changed <- struct{}{}:
	default:
	}
}

// Run gets and renews the certificates until ctx ends.
func (s *Set) Run(ctx context.Context) error {
	var all sync.WaitGroup
	defer all.Wait()
	for {
		s.mu.Lock()
		for _, h := range s.hosts {
			if h.stop == nil {
				kept, stop := context.WithCancel(ctx)
				h.stop = stop
				all.Go(func() { s.keep(kept, h) })
			}
		}
		s.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil
		case <-s.changed:
		}
	}
}

// host returns the host that a client names, or nil.
func (s *Set) host(name string) *host {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hosts[strings.ToLower(name)]
}

// Over returns base with the certificates of s. The hosts of s get these, and nothing else; base answers for other
// hosts. If it is nil, they are refused.
func (s *Set) Over(base *tls.Config) *tls.Config {
	over := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
	if base != nil {
		over = base.Clone()
	}
	others := over.GetCertificate
	over.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if h := s.host(hello.ServerName); h != nil {
			return h.certificate.Load(), nil // nil refuses the handshake: unrecognized_name
		}
		if others == nil {
			return nil, nil
		}
		return others(hello)
	}
	over.GetConfigForClient = s.challenged
	return over
}

// challenged answers a CA that looks whether the host is here (TLS-ALPN-01, RFC 8737), and nobody else.
func (s *Set) challenged(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	if len(hello.SupportedProtos) != 1 || hello.SupportedProtos[0] != acme.ALPNProto {
		return nil, nil // the configuration as it is
	}
	answer := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{acme.ALPNProto}, SessionTicketsDisabled: true}
	if h := s.host(hello.ServerName); h != nil {
		pair, err := s.files.pair(h.name + challengeFile)
		if err != nil {
			return nil, err
		}
		answer.Certificates = []tls.Certificate{*pair}
	}
	return answer, nil
}

// HTTP answers a CA that looks at port 80 whether a host is here (HTTP-01, RFC 8555 section 8.3), and has next answer all
// others.
func (s *Set) HTTP(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, asked := strings.CutPrefix(r.URL.Path, "/.well-known/acme-challenge/")
		name, _, _ := strings.Cut(r.Host, ":")
		if !asked || s.host(name) == nil {
			next.ServeHTTP(w, r)
			return
		}
		answer, err := s.files.response(token)
		if err != nil {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = w.Write(answer)
	})
}

// Status is what is known of a host.
type Status struct {
	Host     string    `json:"host"`
	NotAfter time.Time `json:"not_after,omitzero"` // of its certificate; zero: there is none
	Next     time.Time `json:"next"`               // when the CA is asked
	Failures int       `json:"failures"`           // since the CA gave a certificate
	Problem  string    `json:"problem,omitempty"`  // the last of these failures
}

// Status returns what is known of each host, in the order of their names.
func (s *Set) Status() (all []Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.hosts {
		all = append(all, h.status())
	}
	slices.SortFunc(all, func(a, b Status) int { return cmp.Compare(a.Host, b.Host) })
	return all
}

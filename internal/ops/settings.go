package ops

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/internal/check"
	"github.com/counterfoil/counterfoil/internal/config"
	"github.com/counterfoil/counterfoil/internal/forwarded"
	"github.com/counterfoil/counterfoil/internal/private"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/internal/urls"
)

// Settings are those of every server program. A program embeds them in the struct of its own
// settings, gives [Kinds] to package config, and calls Check after its load.
type Settings struct {
	Listen                string        `name:"listen" default:"127.0.0.1:8080" placeholder:"ADDR" help:"Address to listen on." want:"address"`
	TrustedProxies        []string      `name:"trusted-proxies" placeholder:"CIDR" help:"Networks of the proxies whose X-Forwarded-For the server believes." want:"network"`
	TLSCert               string        `name:"tls-cert" type:"path" placeholder:"FILE" help:"Certificate chain (PEM) for TLS. Empty: plain http, for a proxy in front."`
	TLSKey                string        `name:"tls-key" type:"path" placeholder:"FILE" help:"Its private key (PEM), mode 0600."`
	ConnectionsPerAddress int           `name:"connections-per-address" default:"1024" placeholder:"N" help:"Connections that one address may have; a trusted proxy may have any number. 0: no limit."`
	Drain                 time.Duration `name:"drain" default:"0s" placeholder:"TIME" help:"How long /readyz fails before the listener closes, so that load balancers notice." min:"0s" max:"5m"`

	OpsListen string        `name:"ops-listen" default:"127.0.0.1:9464" placeholder:"ADDR" help:"Address of metrics and pprof, or off." want:"address or off"`
	OpsToken  secret.String `kong:"-" name:"ops-token" help:"Bearer token of the ops listener, 32 characters or more; required for profiles, and unless it is on loopback."`
	LogLevel  string        `name:"log-level" default:"info" placeholder:"LEVEL" help:"debug, info, warn or error." oneof:"debug,info,warn,error"`
}

// Kinds are what the want tags of [Settings] name.
func Kinds() map[string]func(text string) error {
	return map[string]func(string) error{
		"address": checkAddress,
		"address or off": func(text string) error {
			if text == "off" {
				return nil
			}
			return checkAddress(text)
		},
		"network": func(text string) error {
			if _, err := network(text); err != nil {
				return fmt.Errorf("has %q: want a network such as 10.0.0.0/8, or an address", text)
			}
			return nil
		},
	}
}

func checkAddress(text string) error {
	host, port, err := net.SplitHostPort(text)
	n, bad := strconv.ParseUint(port, 10, 16)
	if _, ip := netip.ParseAddr(host); err != nil || bad != nil || n > 65535 || host != "" && host != "localhost" && ip != nil {
		return fmt.Errorf("is %q: want an IP address and a port, such as 127.0.0.1:8080", text)
	}
	return nil
}

// network parses a network, or an address as the network of only that address.
func network(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	return p.Masked(), err
}

// Networks parses the networks of a setting whose kind, network, was checked: it refuses every
// text that is left out here.
func Networks(texts []string) (all []netip.Prefix) {
	for _, text := range texts {
		if n, err := network(text); err == nil {
			all = append(all, n)
		}
	}
	return all
}

// Check applies the rules between these settings. The caller has checked each alone.
func (s *Settings) Check(v *config.Verdict) {
	s.checkTLS(v)
	s.checkOps(v)
	s.checkProxies(v)
}

func (s *Settings) checkTLS(v *config.Verdict) {
	if s.TLSCert == "" && s.TLSKey == "" {
		return
	}
	if s.TLSCert == "" || s.TLSKey == "" {
		v.Refuse("tls_cert", "and tls_key go together", "")
		return
	}
	if _, err := LoadKeyPair(s.TLSCert, s.TLSKey); err != nil {
		v.Refuse("tls_cert", "cannot be used: "+strings.TrimPrefix(err.Error(), "tls: "), "")
	} else if bad, open := errors.AsType[*private.Error](private.Secret(s.TLSKey)); open && !bad.Group { // Debian gives keys of TLS to a group of its own
		v.Refuse("tls_key", bad.Problem, bad.Hint)
	} else if open {
		v.Warn("tls_key", bad.Problem, bad.Hint)
	}
}

// checkOps keeps the ops listener to this machine, or to operators who have the token:
// profiles and metrics tell an attacker a lot (OPS-07).
func (s *Settings) checkOps(v *config.Verdict) {
	token := s.OpsToken.Reveal()
	if token != "" && len(token) < 32 {
		v.Refuse("ops_token", "has fewer than 32 characters", "openssl rand -hex 32")
	} else if !check.Printable(token) {
		v.Refuse("ops_token", "has a blank, or a character that is not ASCII: no header carries it as it is", "openssl rand -hex 32")
	}
	if s.OpsListen == "off" || urls.Loopback(s.OpsListen) {
		return
	}
	if token == "" {
		v.Refuse("ops_listen", "is not a loopback address, and ops_token is not set", "put a token in a file and name it in ops_token_file")
	} else if s.TLSCert == "" {
		v.Danger("ops_listen", "is plain http on a network: its token is readable on the way", "listen on loopback, or set tls_cert and tls_key")
	}
}

// checkProxies refuses to trust everybody: a trusted proxy can claim any address for its clients.
func (s *Settings) checkProxies(v *config.Verdict) {
	for _, n := range s.Trusted() {
		if n.Bits() == 0 {
			v.Danger("trusted_proxies", "has "+n.String()+": everybody can claim any address", "name the proxies' own networks")
		}
	}
	if v.Production && len(s.TrustedProxies) == 0 && s.TLSCert == "" {
		v.Warn("trusted_proxies", "is empty: behind a proxy all clients have its address, and one limit on attempts to sign in", "name the network of the proxy that serves TLS")
	}
}

// Trusted returns the networks of the proxies.
func (s *Settings) Trusted() forwarded.Proxies { return Networks(s.TrustedProxies) }

// Level returns the least level that is logged.
func (s *Settings) Level() slog.Level {
	var l slog.Level
	if err := l.UnmarshalText([]byte(s.LogLevel)); err != nil {
		return slog.LevelInfo // its oneof tag refuses such a level
	}
	return l
}

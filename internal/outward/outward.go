// Package outward connects to targets that an operator or a tenant names: webhooks, and what the
// monitor checks. Begin with [New]. A person who may name a target must not reach a machine by it
// that only this machine can reach (OPS-08):
//
//   - The address is looked at when it is dialled, after the name was resolved. So a name server
//     that changes its answer gains nothing.
//   - An address inside (package inside) is refused, unless the operator allows it by name.
//     Addresses of metadata are always refused.
//   - There is no proxy and no redirect, the answer is bounded in time and size, and nobody is told
//     what it said, except for the parts that a caller of [Client.DialContext] reads itself.
package outward

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/counterfoil/counterfoil/internal/inside"
)

// Refused is the error of a connection to an address that is not allowed. Its text has no address: a
// tenant learns nothing about the names of this network.
type Refused struct{ Addr netip.Addr }

func (Refused) Error() string { return "the address is inside, and not allowed" }

const (
	within    = 5 * time.Second // a whole request
	maxAnswer = 64 << 10        // bytes of an answer that are read
)

// Options of [New].
type Options struct {
	// Allow has what may be inside: networks (10.0.0.0/8), addresses (127.0.0.1, ::1), and host
	// names as targets write them (grafana.internal), which may then have any address. Nothing in it
	// allows an address of metadata.
	Allow []string

	Resolver *net.Resolver // nil: net.DefaultResolver
}

// Client connects and sends. Its methods are safe for concurrent use.
type Client struct {
	allowed  atomic.Pointer[allowed]
	resolver *net.Resolver
}

// allowed is what may be inside. It does not change.
type allowed struct {
	networks []netip.Prefix
	names    map[string]bool
}

// New returns a client. An entry of Allow that is none of the three forms is an error.
func New(o Options) (*Client, error) {
	c := &Client{resolver: o.Resolver}
	if err := c.SetAllow(o.Allow); err != nil {
		return nil, err
	}
	return c, nil
}

// SetAllow replaces what Options.Allow was, for connections from now on. After an error nothing has
// changed.
func (c *Client) SetAllow(allow []string) error {
	a := &allowed{names: map[string]bool{}}
	for _, text := range allow {
		if err := a.add(text); err != nil {
			return err
		}
	}
	c.allowed.Store(a)
	return nil
}

// CheckAllowed says whether text may be an entry of Options.Allow.
func CheckAllowed(text string) error { return (&allowed{names: map[string]bool{}}).add(text) }

func (a *allowed) add(text string) error {
	if p, err := netip.ParsePrefix(text); err == nil {
		if p != p.Masked() {
			return fmt.Errorf("%q is no network: its bits after /%d are not zero", text, p.Bits())
		}
		a.networks = append(a.networks, p)
		return nil
	}
	if ip, err := netip.ParseAddr(text); err == nil {
		ip = inside.Behind(ip)
		a.networks = append(a.networks, netip.PrefixFrom(ip, ip.BitLen()))
		return nil
	}
	if err := checkName(text); err != nil {
		return fmt.Errorf("%q is neither a network, nor an address, nor a host name: %w", text, err)
	}
	a.names[canonical(text)] = true
	return nil
}

// canonical is the one spelling of a host name.
func canonical(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// CheckHost says whether host may be the host of a target: an address, or a name. A number is
// neither. Some resolvers take 2130706433, 0x7f.1 and 0177.0.0.1 for 127.0.0.1.
func CheckHost(host string) error {
	if _, err := netip.ParseAddr(host); err == nil {
		return nil
	}
	return checkName(host)
}

func checkName(name string) error {
	name = canonical(name)
	if len(name) == 0 || len(name) > 253 {
		return errors.New("a host name has 1 to 253 characters")
	}
	for label := range strings.SplitSeq(name, ".") {
		if len(label) == 0 || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return errors.New("a label of a host name has 1 to 63 letters, digits, - and _; write an international name in its xn-- form")
		}
	}
	last := name[strings.LastIndexByte(name, '.')+1:]
	if number := strings.TrimPrefix(last, "0x"); strings.Trim(last, "0123456789") == "" || number != last && strings.Trim(number, "0123456789abcdef") == "" {
		return errors.New("it is a number, and an address is written in full")
	}
	return nil
}

// DialContext connects to address, which has a host and a port. It is the DialContext of an
// http.Transport and of a tls.Dialer. Only ctx says how long that may take.
func (c *Client) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if err := CheckHost(host); err != nil {
		return nil, fmt.Errorf("host %q: %w", host, err)
	}
	allowed := c.allowed.Load()
	anywhere := allowed.names[canonical(host)]
	d := &net.Dialer{
		Resolver: c.resolver, KeepAlive: -1, // no connection lives long
		ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
			return allowed.reach(address, anywhere)
		},
	}
	conn, err := d.DialContext(ctx, network, address)
	if refused, is := errors.AsType[Refused](err); is {
		return nil, refused // without the words around it, which have the address
	}
	return conn, err
}

// reach looks at an address that is about to be dialled. anywhere: the operator has allowed the host
// by its name.
func (a *allowed) reach(address string, anywhere bool) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	ip := at.Addr()
	if a.allows(ip) || anywhere && !inside.Never(ip) {
		return nil
	}
	return Refused{ip}
}

func (a *allowed) allows(ip netip.Addr) bool {
	return !inside.Never(ip) && (!inside.Has(ip) || inside.Within(a.networks, ip))
}

// Allows reports whether a target may have the address ip, if no name leads there that is allowed.
func (c *Client) Allows(ip netip.Addr) bool { return c.allowed.Load().allows(ip) }

package redis

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

// Place is where a URL leads. The forms of a URL:
//
//	redis://[USER[:PASSWORD]@]HOST[:PORT][,HOST[:PORT]…][/DB][?…]
//	redis-sentinel://[USER[:PASSWORD]@]HOST[:PORT][,…]/NAME[/DB][?…]
//
// The first is one server, or nodes of a Cluster; which of both, the server says. The
// second is the primary that sentinels know by NAME. rediss:// and rediss-sentinel://
// are the same under TLS. In the query:
//
//	prefix=WORD        as Options.Prefix
//	ca=FILE            the CA (PEM) that signed the servers' certificates; else the system's
//	server_name=NAME   what the certificates are for, if not for the hosts' own names
//	sentinel_auth=yes  sentinels want user and password too
//	wait=N             a commit is done when N replicas have it, see ErrNotReplicated
type Place struct {
	Hosts  []string // host:port
	Name   string   // of the primary: Hosts are sentinels; empty: they are not
	TLS    bool
	User   string
	DB     int
	Prefix string
	Wait   int // how many replicas must have a commit before it is done

	password, ca, serverName string
	sentinelAuth             bool
}

// ErrURL means that a URL has none of the forms of Place. It does not show the URL:
// there may be a password in it.
var ErrURL = errors.New("no Redis URL")

// ParseURL reads a URL.
func ParseURL(text string) (Place, error) {
	scheme, rest, found := strings.Cut(text, "://")
	kind, sentinel := strings.CutSuffix(scheme, "-sentinel")
	if !found || kind != "redis" && kind != "rediss" {
		return Place{}, fmt.Errorf("%w: want redis://HOST:PORT, rediss://… for TLS, or redis-sentinel://HOST:PORT,HOST:PORT/NAME", ErrURL)
	}
	p := Place{TLS: kind == "rediss"}
	rest, query, _ := strings.Cut(rest, "?")
	hosts, path, _ := strings.Cut(rest, "/")
	if at := strings.LastIndex(hosts, "@"); at >= 0 {
		if err := p.credentials(hosts[:at]); err != nil {
			return Place{}, err
		}
		hosts = hosts[at+1:]
	}
	port := "6379"
	if sentinel {
		port = "26379"
		p.Name, path, _ = strings.Cut(path, "/")
		if p.Name == "" {
			return Place{}, fmt.Errorf("%w: the name of the primary is missing, after the hosts and a slash", ErrURL)
		}
	}
	for host := range strings.SplitSeq(hosts, ",") {
		addr, err := address(host, port)
		if err != nil {
			return Place{}, err
		}
		p.Hosts = append(p.Hosts, addr)
	}
	if path != "" {
		db, err := strconv.ParseUint(path, 10, 16)
		if err != nil {
			return Place{}, fmt.Errorf("%w: %q is no database number", ErrURL, path)
		}
		p.DB = int(db)
	}
	return p, p.query(query)
}

func (p *Place) credentials(text string) (err error) {
	user, password, _ := strings.Cut(text, ":")
	if p.User, err = url.PathUnescape(user); err != nil {
		return fmt.Errorf("%w: the user is not escaped as a URL wants it", ErrURL)
	}
	if p.password, err = url.PathUnescape(password); err != nil {
		return fmt.Errorf("%w: the password is not escaped as a URL wants it", ErrURL)
	}
	return nil
}

// HasPassword reports whether the URL carried one.
func (p *Place) HasPassword() bool { return p.password != "" }

func address(host, port string) (string, error) {
	if h, given, err := net.SplitHostPort(host); err == nil {
		host, port = h, given
	}
	host = strings.Trim(host, "[]")
	if _, err := strconv.ParseUint(port, 10, 16); err != nil || host == "" || strings.ContainsAny(host, " /@[]") {
		return "", fmt.Errorf("%w: a host is missing, or its port is no number", ErrURL)
	}
	return net.JoinHostPort(host, port), nil
}

func (p *Place) query(text string) error {
	values, err := url.ParseQuery(text)
	if err != nil {
		return fmt.Errorf("%w: its query is not escaped as a URL wants it", ErrURL)
	}
	known := map[string]*string{"prefix": &p.Prefix, "ca": &p.ca, "server_name": &p.serverName, "sentinel_auth": new(string), "wait": new(string)}
	for name, all := range values {
		into := known[name]
		if into == nil || len(all) != 1 {
			return fmt.Errorf("%w: %q in its query is not known, or there twice", ErrURL, name)
		}
		*into = all[0]
	}
	auth := *known["sentinel_auth"]
	if p.sentinelAuth = auth == "yes"; auth != "" && !p.sentinelAuth {
		return fmt.Errorf("%w: sentinel_auth is yes or absent", ErrURL)
	}
	if wait := *known["wait"]; values.Has("wait") {
		n, err := strconv.ParseUint(wait, 10, 8)
		if err != nil || n == 0 {
			return fmt.Errorf("%w: wait is a number of replicas, 1 to 255, or absent", ErrURL)
		}
		p.Wait = int(n)
	}
	return nil
}

// options are what the client is made with.
func (p *Place) options(timeout time.Duration) (opt rueidis.ClientOption, err error) {
	opt = rueidis.ClientOption{
		InitAddress: slices.Clone(p.Hosts), Username: p.User, Password: p.password, SelectDB: p.DB,
		DisableCache: true, // see docs/decisions/0016-redis.md: no answer of this store may be an old one
		DisableRetry: true, // the client would go on until the context ends
	}
	// A connection on which nothing comes for an eighth of the time is asked, and has
	// ended if nothing comes for three quarters more: with it ends who waits on it.
	opt.Dialer.Timeout, opt.Dialer.KeepAlive, opt.ConnWriteTimeout = timeout, timeout/8, timeout*3/4
	if p.TLS {
		if opt.TLSConfig, err = p.tls(); err != nil {
			return opt, err
		}
	}
	if p.Name == "" {
		return opt, nil
	}
	opt.Sentinel = rueidis.SentinelOption{
		MasterSet: p.Name, Dialer: opt.Dialer, TLSConfig: opt.TLSConfig,
		// A primary that was only demoted closes no connection, and news of it may be lost.
		TopologyRefreshInterval: 5 * time.Second,
	}
	if p.sentinelAuth {
		opt.Sentinel.Username, opt.Sentinel.Password = p.User, p.password
	}
	return opt, nil
}

func (p *Place) tls() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: p.serverName}
	if p.ca == "" {
		return c, nil
	}
	pem, err := os.ReadFile(p.ca)
	if err != nil {
		return nil, err
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", p.ca)
	}
	return c, nil
}

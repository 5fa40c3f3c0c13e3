package redis

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/counterfoil/counterfoil/internal/textfile"
)

// Place is a parsed URL. The forms of a URL:
//
//	redis://[USER[:PASSWORD]@]HOST[:PORT][,HOST[:PORT]…][/DB][?…]
//	redis-sentinel://[USER[:PASSWORD]@]HOST[:PORT][,…]/NAME[/DB][?…]
//	unix://[USER[:PASSWORD]@]/PATH[?…]
//
// The first form names one server, or nodes of a Cluster: the server says which. The second
// form names sentinels, and NAME is their name for the primary. rediss:// and
// rediss-sentinel:// are the same forms with TLS. The third form names the Unix socket of one
// server; redis+unix:// is the same. In the query:
//
//	prefix=WORD        as [Options].Prefix
//	ca=FILE            the CA (PEM) of the servers' certificates; if absent: the system's CAs
//	server_name=NAME   the name in the certificates; if absent: the name of the host
//	sentinel_auth=yes  log in to the sentinels with the same user and password
//	wait=N             Commit waits until N replicas have the commit, see [ErrNotReplicated]
//	db=N               the number of the database; only with a Unix socket
type Place struct {
	Hosts  []string // host:port; none if there is a Socket
	Socket string   // the path of a Unix socket, or empty
	Name   string   // the sentinels' name for the primary; empty: Hosts are not sentinels
	TLS    bool
	User   string
	DB     int
	Prefix string
	Wait   int // how many replicas must have a commit before Commit returns

	password, ca, serverName string
	sentinelAuth             bool
}

// ErrURL means that a URL has none of the forms of [Place]. The error does not show the URL,
// which may have a password.
var ErrURL = errors.New("no Redis URL")

// IsURL reports whether text has the scheme of one of the forms of [Place].
func IsURL(text string) bool {
	scheme, _, found := strings.Cut(text, "://")
	return found && slices.Contains([]string{"redis", "rediss", "redis-sentinel", "rediss-sentinel", "unix", "redis+unix"}, scheme)
}

// ParseURL reads a URL.
func ParseURL(text string) (Place, error) {
	if !IsURL(text) {
		return Place{}, fmt.Errorf("%w: want redis://HOST:PORT, rediss://… for TLS, redis-sentinel://HOST:PORT,HOST:PORT/NAME, or unix:///PATH", ErrURL)
	}
	scheme, rest, _ := strings.Cut(text, "://")
	rest, query, _ := strings.Cut(rest, "?")
	if strings.HasSuffix(scheme, "unix") {
		return parseSocket(rest, query)
	}
	kind, sentinel := strings.CutSuffix(scheme, "-sentinel")
	p := Place{TLS: kind == "rediss"}
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
		if err := p.database(path); err != nil {
			return Place{}, err
		}
	}
	return p, p.query(query)
}

// parseSocket reads what is after the scheme of a URL of a Unix socket.
func parseSocket(rest, query string) (p Place, err error) {
	user, path, _ := strings.Cut(rest, "/")
	credentials, found := strings.CutSuffix(user, "@")
	if user != "" && !found || path == "" {
		return Place{}, fmt.Errorf("%w: want the path of the socket after three slashes: unix:///run/redis/redis.sock", ErrURL)
	}
	if err := p.credentials(credentials); err != nil {
		return Place{}, err
	}
	if p.Socket, err = url.PathUnescape("/" + path); err != nil {
		return Place{}, fmt.Errorf("%w: the path is not escaped as a URL wants it", ErrURL)
	}
	return p, p.query(query)
}

func (p *Place) database(text string) error {
	db, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return fmt.Errorf("%w: %q is no database number", ErrURL, text)
	}
	p.DB = int(db)
	return nil
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

// HasPassword reports whether the URL has a password.
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
	params := map[string]*string{"prefix": &p.Prefix, "wait": new(string)}
	if p.Socket != "" {
		params["db"] = new(string)
	} else {
		params["ca"], params["server_name"], params["sentinel_auth"] = &p.ca, &p.serverName, new(string)
	}
	for name, all := range values {
		into := params[name]
		if into == nil || len(all) != 1 {
			return fmt.Errorf("%w: %q in its query is unknown, or stands there twice", ErrURL, name)
		}
		*into = all[0]
	}
	if auth := values.Get("sentinel_auth"); auth != "" {
		if p.sentinelAuth = auth == "yes"; !p.sentinelAuth {
			return fmt.Errorf("%w: sentinel_auth is yes or absent", ErrURL)
		}
	}
	if values.Has("db") {
		if err := p.database(values.Get("db")); err != nil {
			return err
		}
	}
	if values.Has("wait") {
		n, err := strconv.ParseUint(values.Get("wait"), 10, 8)
		if err != nil || n == 0 {
			return fmt.Errorf("%w: wait is a number of replicas, 1 to 255, or absent", ErrURL)
		}
		p.Wait = int(n)
	}
	return nil
}

// options returns the options of the client.
func (p *Place) options(timeout time.Duration) (opt rueidis.ClientOption, err error) {
	opt = rueidis.ClientOption{
		InitAddress: slices.Clone(p.Hosts), Username: p.User, Password: p.password, SelectDB: p.DB,
		DisableCache: true, // no answer of this store may be old: see docs/decisions/0016-redis.md
		DisableRetry: true, // the client would retry until the context ends
	}
	// The client pings a connection that is silent for an eighth of the timeout. It closes the
	// connection if there is no answer for three quarters more. Then every call that waits on
	// the connection fails.
	opt.Dialer.Timeout, opt.Dialer.KeepAlive, opt.ConnWriteTimeout = timeout, timeout/8, timeout*3/4
	if p.Socket != "" {
		opt.InitAddress, opt.ForceSingleClient = []string{p.Socket}, true
		opt.DialCtxFn = func(ctx context.Context, path string, dialer *net.Dialer, _ *tls.Config) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", path)
		}
		return opt, nil
	}
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
		// A demoted primary keeps its connections open, and the message about it may be lost.
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
	pem, err := textfile.Read(p.ca)
	if err != nil {
		return nil, err
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s has no certificate", p.ca)
	}
	return c, nil
}

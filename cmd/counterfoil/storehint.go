package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"io/fs"
	"net"
	"slices"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/redis/rueidis"

	"github.com/counterfoil/counterfoil/store/redis"
)

// openHint is what to do about a PostgreSQL or Redis that cannot be opened; empty: the error says
// all that is known.
func openHint(name string, err error) string {
	var inPostgres *pgconn.PgError
	var inRedis *rueidis.RedisError
	switch {
	case strings.Contains(err.Error(), "\nhint: "): // the store knows
	case errors.As(err, &inPostgres):
		return postgresHint(inPostgres)
	case errors.As(err, &inRedis):
		return redisHint(inRedis.Error())
	case isPostgres(name), redis.IsURL(name):
		return networkHint(name, err)
	}
	return ""
}

// postgresHint is for an answer of PostgreSQL. Its errors have codes:
// https://www.postgresql.org/docs/current/errcodes-appendix.html
func postgresHint(e *pgconn.PgError) string {
	switch {
	case e.Code == "28000" && strings.Contains(e.Message, "no encryption"):
		return "the server wants TLS from this machine: add sslmode=verify-full to the URL; or its pg_hba.conf has no line for this user, database and address"
	case e.Code == "28000" && strings.Contains(e.Message, "pg_hba.conf"):
		return "pg_hba.conf of the server has no line for this user, database and address"
	case e.Code == "28000" && strings.Contains(e.Message, "does not exist"):
		return "the server has no role of that name: check the user in the URL"
	case strings.HasPrefix(e.Code, "28"): // invalid_authorization_specification
		return "the password comes from PGPASSWORD, or a file that PGPASSFILE names; the user is in the URL"
	case e.Code == "3D000": // invalid_catalog_name
		return "make the database first: CREATE DATABASE"
	case e.Code == "42501": // insufficient_privilege
		return "the role may not change the schema: start once as its owner (docs/operations-postgres.md), or grant what store/postgres/roles.sql grants"
	case e.Code == "53300": // too_many_connections
		return "raise max_connections of the server, or lower pool_max_conns in the URL; each node takes 17"
	case e.Code == "57P03": // cannot_connect_now
		return "the server is starting or stopping: wait for it"
	}
	return ""
}

// redisHint is for an answer of Redis. The first word is its code.
func redisHint(text string) string {
	code, _, _ := strings.Cut(text, " ")
	switch code {
	case "NOAUTH":
		return "the server wants a password: name the user in the URL, and set " + envPrefix + "SESSIONS_PASSWORD_FILE"
	case "WRONGPASS":
		return "the user in the URL and the password do not fit: set " + envPrefix + "SESSIONS_PASSWORD_FILE"
	case "NOPERM":
		return "the user lacks a right: docs/operations-redis.md lists those that it needs"
	case "LOADING":
		return "the server is reading its data: wait for it"
	}
	return ""
}

// networkHint is for a server that has not answered as such.
func networkHint(name string, err error) string {
	var unknown *net.DNSError
	var foreign x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var noTLS tls.RecordHeaderError
	var network net.Error
	ca, tlsOn, tlsOff := "add ca=FILE to the URL", "use rediss:// or rediss-sentinel://", "use redis:// if the way there is safe"
	if isPostgres(name) {
		ca, tlsOn, tlsOff = "add sslrootcert=FILE to the URL", "add sslmode=verify-full to the URL", "turn ssl on in postgresql.conf; or take sslmode out of the URL if the way there is safe"
	}
	switch text := err.Error(); {
	case errors.As(err, &unknown):
		return "no server has that name: check the host in the URL"
	case errors.As(err, &foreign):
		return "no CA that this machine trusts has signed the certificate of the server: " + ca
	case errors.As(err, &host), errors.As(err, &invalid):
		return "the certificate of the server is not good for that name at this time: check the host in the URL, the certificate and the clock"
	case strings.Contains(text, "server refused TLS connection"), errors.As(err, &noTLS):
		return "the server has no TLS there: " + tlsOff
	case errors.Is(err, syscall.ECONNREFUSED):
		return "no program listens there: start the server, or check host and port in the URL"
	case errors.Is(err, fs.ErrNotExist):
		return "no server has its socket there: start the server, or check the path in the URL"
	case errors.Is(err, fs.ErrPermission):
		return "the user of this program may not open that socket: add the user to the group of the socket"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "there is no way to that host: check the host in the URL, and the network"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return "nothing answers in time: check host and port in the URL, firewalls, and whether the server speaks TLS on that port"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return "the server hung up: if it wants TLS on that port, " + tlsOn
	case strings.Contains(text, "unknown message type"):
		return "the program on that port is no Redis: check host and port in the URL"
	}
	return ""
}

// oneLine is the text of err, whose driver puts each attempt to connect on a line of its own,
// without those that repeat another.
func oneLine(err error) string {
	var parts []string
	for line := range strings.Lines(err.Error()) {
		line = strings.TrimSpace(line)
		if line != "" && !slices.ContainsFunc(parts, func(part string) bool { return strings.HasSuffix(part, line) }) {
			parts = append(parts, line)
		}
	}
	return strings.Join(parts, " ")
}

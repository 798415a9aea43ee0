package source

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/go-mysql-org/go-mysql/mysql"

	"github.com/rowmesh/rowmesh/services/errs"
)

// ServerError is what the server answered instead of a result.
type ServerError struct {
	Code    uint16 // ER_ number
	State   string // SQLSTATE
	Message string
}

func (e *ServerError) Error() string {
	return fmt.Sprintf("%s (error %d, SQLSTATE %s)", e.Message, e.Code, e.State)
}

// kindOf is the one place that knows the server's error numbers (Messages of the MySQL error reference and of MariaDB's).
func kindOf(err error) errs.Kind {
	var server *ServerError
	if !errors.As(err, &server) {
		return errs.Unavailable // the network, or a context that ended
	}
	switch server.Code {
	case 1044, 1045, 1095, 1130, 1142, 1143, 1227, 1370, 1410, 1698, 3118, 3955, 4151:
		return errs.Denied // no such account, wrong password, locked account, missing grant
	case 1205, 1213, 3572:
		return errs.Busy // lock wait timeout, deadlock: nothing is wrong, somebody else holds it
	case 1040, 1053, 1077, 1079, 1080, 1129, 1152, 1159, 1160, 1161, 1184, 1203, 1226, 1317, 1836, 1927, 1969, 3024, 3169, 4031:
		return errs.Unavailable // too many connections, shutdown, killed, timed out: another attempt may succeed
	case 1049, 1051, 1146, 1109:
		return errs.NotFound
	case 1290, 1235, 1193:
		return errs.Unsupported // disabled by an option of the server, or unknown to this version
	}
	return errs.Invalid
}

// wrap says what was being done. Requires: err != nil.
func (c *Conn) wrap(doing string, err error) error {
	var done *errs.Error
	if errors.As(err, &done) {
		return err
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return errs.E(errs.Unavailable, "%s on %s: %w", doing, c.cfg.Addr, err)
	}
	var server *ServerError
	if errors.As(err, &server) {
		return errs.E(kindOf(err), "%s on %s as %q: %w", doing, c.cfg.Addr, c.cfg.User, err)
	}
	return errs.E(errs.Unavailable, "%s on %s: the connection was lost: %w", doing, c.cfg.Addr, err)
}

// initialError is about one of database.initial.statements. A statement that the server refuses will be refused again.
func initialError(cfg Config, i int, statement string, err error) error {
	const most = 100
	if len(statement) > most {
		statement = statement[:most] + "..."
	}
	kind := errs.KindOf(err)
	if server := (*ServerError)(nil); errors.As(err, &server) && kind != errs.Unavailable && kind != errs.Busy {
		kind = errs.Invalid
	}
	return errs.E(kind, "database.initial.statements: statement %d, %s, on %s as %q: %w", i+1, statement, cfg.Addr, cfg.User, err)
}

// notTrusted says whether an attempt failed because of who signed the server's certificate or whom it names.
func notTrusted(err error) bool {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	return errors.As(err, &unknown) || errors.As(err, &name) || errors.As(err, &invalid)
}

// plainMayWork says whether a failed encrypted attempt is a reason to try without, under TLSPreferred. Distrust is none: whoever pretends to be the server
// would get the password.
func plainMayWork(err error) bool {
	var record tls.RecordHeaderError
	var alert tls.AlertError
	if notTrusted(err) {
		return false
	}
	return errors.As(err, &record) || errors.As(err, &alert) || strings.Contains(err.Error(), "does not support TLS") || strings.Contains(err.Error(), "tls:")
}

// connectError turns a failed attempt into a text that names host, port and user, and says what to do.
func connectError(cfg Config, err error) error {
	var done *errs.Error
	if errors.As(err, &done) && done.Kind == errs.Invalid {
		return err
	}
	host, port, _ := net.SplitHostPort(cfg.Addr)
	at := fmt.Sprintf("connect to the database at %s as user %q", cfg.Addr, cfg.User)
	if my := new(mysql.MyError); errors.As(err, &my) {
		err = &ServerError{my.Code, my.State, my.Message}
	}
	var server *ServerError
	var dns *net.DNSError
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &server):
		return serverRefused(at, host, cfg, server)
	case errors.As(err, &dns):
		return errs.E(errs.Unavailable, "%s: the host name %q does not resolve: check database.hostname and this machine's DNS: %w", at, host, err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return errs.E(errs.Unavailable, "%s: nothing listens on port %s of %s: check database.hostname and database.port, and that the server runs and binds to an address that this machine reaches: %w", at, port, host, err)
	case errors.As(err, &unknown), errors.As(err, &invalid):
		return errs.E(errs.Denied, "%s: the server's certificate is not signed by a trusted authority: name the right one in database.ssl.truststore or rowmesh.ssl.ca.file, or use database.ssl.mode=required to encrypt without verifying: %w", at, err)
	case errors.As(err, &name):
		return errs.E(errs.Denied, "%s: the server's certificate is for another host: use the name in it as database.hostname, or database.ssl.mode=verify_ca: %w", at, err)
	case strings.Contains(err.Error(), "does not support TLS"):
		return errs.E(errs.Invalid, "%s: the server has no TLS and database.ssl.mode=%s asks for it: give the server a certificate, or use preferred or disabled", at, cfg.TLS)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), isTimeout(err):
		return errs.E(errs.Unavailable, "%s: no answer within %s (connect.timeout.ms): check database.hostname, database.port and the firewalls between: %w", at, cfg.ConnectTimeout, err)
	}
	return errs.E(errs.Unavailable, "%s: %w", at, err)
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}

func serverRefused(at, host string, cfg Config, server *ServerError) error {
	kind := kindOf(server)
	next := ""
	switch server.Code {
	case 1045, 1698:
		next = fmt.Sprintf(": check database.user and database.password; the account is made by CREATE USER %s@'%%' IDENTIFIED BY '...'", QuoteText(cfg.User))
	case 1130:
		next = ": the server admits no account from this machine: create the user for this host or for '%'"
	case 1129:
		next = ": the server blocks this machine after too many failed attempts: run FLUSH HOSTS on " + host
	case 1040, 1203, 1226:
		next = ": all connections of the server or of the user are taken: raise max_connections or max_user_connections, or wait"
	case 3118, 4151:
		next = fmt.Sprintf(": unlock the account: ALTER USER %s@'...' ACCOUNT UNLOCK", QuoteText(cfg.User))
	case 1053, 1077:
		next = ": the server is shutting down or starting"
	case 1820, 1862:
		kind, next = errs.Denied, ": the password has expired: set a new one with ALTER USER"
	}
	return errs.E(kind, "%s: %w%s", at, server, next)
}

// ErrorCode returns the server's error number in err's chain, or 0.
func ErrorCode(err error) uint16 {
	var server *ServerError
	if errors.As(err, &server) {
		return server.Code
	}
	return 0
}

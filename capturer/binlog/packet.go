package binlog

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/rowmesh/rowmesh/services/errs"
)

const (
	// readBufferBytes is how much is asked of the socket at once: packets that fit are used in place. Twice the server's net_buffer of a dump
	// thread under load saves no more system calls; smaller costs 5 % at 128 KiB.
	readBufferBytes = 256 << 10
	// maxPacketBytes is the longest packet of the client protocol; a longer event goes on in the next packet.
	maxPacketBytes = 1<<24 - 1
	packetHeader   = 4
)

// packetSource gives the packets of a dump, one at a time.
type packetSource interface {
	// next returns the next packet, joined if it was split; valid until the following next.
	next() ([]byte, error)
	// buffered says that a packet, or a part of one, is here already.
	buffered() bool
	// Close ends a next that waits.
	Close() error
}

// packetReader reads packets from a connection that is in dump mode. go-mysql made the connection; from the dump command on the server only sends, so
// nothing of its packet layer is needed, and reading in place saves a copy of every event.
type packetReader struct {
	conn net.Conn
	br   *bufio.Reader
	big  []byte // joins packets that do not fit br
	seq  byte   // sequence number of the next packet
	held int    // bytes of br behind the packet returned last, to be discarded by the next call
	max  int
}

func newPacketReader(conn net.Conn, timeout time.Duration, maxEvent int) *packetReader {
	return &packetReader{conn: conn, br: bufio.NewReaderSize(&deadlineReader{conn, timeout}, readBufferBytes), seq: 1, max: maxEvent}
}

// deadlineReader renews the read deadline at each read of the socket, so that it bounds silence and not the length of an event.
type deadlineReader struct {
	conn    net.Conn
	timeout time.Duration
}

func (r *deadlineReader) Read(p []byte) (int, error) {
	if err := r.conn.SetReadDeadline(time.Now().Add(r.timeout)); err != nil {
		return 0, err
	}
	return r.conn.Read(p)
}

func (p *packetReader) Close() error { return p.conn.Close() }

func (p *packetReader) buffered() bool { return p.br.Buffered() > p.held }

func (p *packetReader) next() ([]byte, error) {
	if p.held > 0 {
		p.br.Discard(p.held) // cannot fail: the bytes are buffered
		p.held = 0
	}
	n, err := p.header()
	if err != nil {
		return nil, err
	}
	if n <= readBufferBytes {
		b, err := p.br.Peek(n)
		if err != nil {
			return nil, noEOF(err)
		}
		p.held = n
		p.shrink(n)
		return b, nil
	}
	return p.join(n)
}

func (p *packetReader) header() (int, error) {
	h, err := p.br.Peek(packetHeader)
	if err != nil {
		if len(h) == 0 {
			return 0, err
		}
		return 0, noEOF(err)
	}
	n := int(h[0]) | int(h[1])<<8 | int(h[2])<<16
	if h[3] != p.seq {
		return 0, errs.E(errs.Corrupt, "packet number %d came where %d was due", h[3], p.seq)
	}
	p.seq++
	p.br.Discard(packetHeader)
	return n, nil
}

// join reads an event that does not fit the read buffer. The buffer grows by what has arrived, never by what a header announces.
func (p *packetReader) join(n int) ([]byte, error) {
	p.big = p.big[:0]
	for {
		for left := n; left > 0; {
			if cap(p.big)-len(p.big) < min(left, readBufferBytes) {
				grown := make([]byte, len(p.big), max(2*cap(p.big), len(p.big)+min(left, 1<<20)))
				copy(grown, p.big)
				p.big = grown
			}
			part := p.big[len(p.big):min(cap(p.big), len(p.big)+left)]
			m, err := io.ReadFull(p.br, part)
			if err != nil {
				return nil, noEOF(err)
			}
			p.big = p.big[:len(p.big)+m]
			left -= m
			if len(p.big) > p.max {
				return nil, errs.E(errs.Unsupported, "an event is longer than %d bytes", p.max)
			}
		}
		if n < maxPacketBytes {
			return p.big, nil
		}
		var err error
		if n, err = p.header(); err != nil {
			return nil, noEOF(err)
		}
	}
}

// shrink lets the joining buffer go once events are small again.
func (p *packetReader) shrink(n int) {
	if p.big != nil && n < cap(p.big)/4 {
		p.big = nil
	}
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// serverError reads an error packet of the client protocol: 0xff, code, '#' and state, message.
func serverError(b []byte) *mysql.MyError {
	c := cursor{b: b}
	c.skip(1)
	e := &mysql.MyError{Code: c.u16()}
	if len(c.b) > 0 && c.b[0] == '#' {
		c.skip(1)
		e.State = string(c.take(5))
	}
	e.Message = string(c.b)
	return e
}

// Error numbers of the servers that have a meaning of their own here.
const (
	erAccessDenied         = 1045
	erDBAccessDenied       = 1044
	erSpecificAccessDenied = 1227
	erMasterFatalReading   = 1236
	erMissingPurgedGTIDs   = 1789
	erMustChangePassword   = 1820
	erHostNotPrivileged    = 1130
)

// classify turns what a server or a socket said into an error with a kind. doing says what was being done.
func classify(doing string, err error) error {
	var my *mysql.MyError
	if !errors.As(err, &my) {
		var kinded *errs.Error
		if errors.As(err, &kinded) {
			return fmt.Errorf("%s: %w", doing, err)
		}
		return &errs.Error{Kind: errs.Unavailable, Err: fmt.Errorf("%s: %w", doing, err)}
	}
	kind, next := errs.Unavailable, ""
	switch my.Code {
	case erAccessDenied, erDBAccessDenied, erMustChangePassword, erHostNotPrivileged:
		kind = errs.Denied
	case erSpecificAccessDenied:
		kind, next = errs.Denied, "; grant REPLICATION SLAVE and REPLICATION CLIENT ON *.* to the user"
	case erMissingPurgedGTIDs:
		kind, next = errs.Gap, "; take a new snapshot, or keep the log longer (binlog_expire_logs_seconds)"
	case erMasterFatalReading:
		// The server uses one number for many things. Purged files and GTIDs are a gap for good, and so are a position that does not exist and a
		// GTID set that the server does not know; a server that cannot read its own log is worth another try.
		kind = fatalReading(my.Message)
		if kind == errs.Gap {
			next = "; take a new snapshot, or keep the log longer (binlog_expire_logs_seconds)"
		}
	}
	return errs.E(kind, "%s: %w%s", doing, my, next)
}

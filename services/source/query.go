package source

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"

	"github.com/rowmesh/rowmesh/services/errs"
)

// maxPacket is the length that says another packet with more of the same follows.
const maxPacket = 1<<24 - 1

// keepBig is how large a buffer for one row stays allocated once the row is done; larger ones are rare, and given back.
const keepBig = 4 << 20

var errMalformed = errors.New("malformed packet")

// Value is one cell of a small result.
type Value struct {
	Text string
	Null bool
}

// Result is a small result, held in memory.
type Result struct {
	Columns []string
	Rows    [][]Value
}

// Get returns the text of a column by name in row i; empty for NULL and for a column that is not there.
func (r *Result) Get(i int, column string) string {
	for j, n := range r.Columns {
		if n == column {
			return r.Rows[i][j].Text
		}
	}
	return ""
}

// Exec runs a statement and drops its result. Errors as for Query.
func (c *Conn) Exec(ctx context.Context, sql string) error {
	_, err := c.Query(ctx, sql)
	return err
}

// Query runs a statement and returns its result; one without rows where the statement has none. Errors wrap *ServerError where the server answered, and
// have a kind.
func (c *Conn) Query(ctx context.Context, sql string) (*Result, error) {
	rows, err := c.Stream(ctx, sql)
	if err != nil {
		return nil, err
	}
	res := &Result{}
	for _, col := range rows.Columns {
		res.Columns = append(res.Columns, col.Name)
	}
	for rows.Next() {
		row, err := rows.values()
		if err != nil {
			rows.Close()
			return nil, c.wrap("read a result", err)
		}
		res.Rows = append(res.Rows, row)
	}
	return res, rows.Close()
}

// ResultColumn describes a column of a result.
type ResultColumn struct {
	Name string
	// Type is the protocol's type code (mysql.MYSQL_TYPE_*).
	Type byte
}

// Rows is a result that comes as it is read. Only one can be open on a session.
type Rows struct {
	Columns []ResultColumn

	c       *Conn
	stop    func() bool  // undoes what ends the statement with its context
	stopped func() error // why it was ended, if it was
	raw     []byte
	done    bool
	err     error
}

// Stream runs a statement and returns its rows as they come from the server, which waits while nobody reads. ctx covers the reading too.
func (c *Conn) Stream(ctx context.Context, sql string) (*Rows, error) {
	if c.broken != nil {
		return nil, c.broken
	}
	if err := ctx.Err(); err != nil {
		return nil, c.wrap("run a statement", err)
	}
	r := &Rows{c: c, stopped: ctx.Err}
	r.stop = context.AfterFunc(ctx, func() { c.raw.SetDeadline(time.Unix(1, 0)) })
	late := c.limit()
	err := r.start(sql)
	if late() {
		err = errs.E(errs.Unavailable, "no result from %s within %s (database.query.timeout.ms) of: %.100s", c.cfg.Addr, c.cfg.QueryTimeout, sql)
	}
	if err != nil {
		return nil, r.fail(err)
	}
	return r, nil
}

// limit ends the statement that begins when it takes longer than the query timeout. The function that it returns stops the clock, and says whether it was late: then
// the session is of no more use, and the server is left to notice that nobody waits.
func (c *Conn) limit() (late func() bool) {
	if c.cfg.QueryTimeout <= 0 {
		return func() bool { return false }
	}
	t := time.AfterFunc(c.cfg.QueryTimeout, func() { c.raw.SetDeadline(time.Unix(1, 0)) })
	return func() bool { return !t.Stop() }
}

func (r *Rows) start(sql string) error {
	c := r.c
	c.seq = 0
	if err := c.writeCommand(mysql.COM_QUERY, sql); err != nil {
		return err
	}
	p, err := c.readPacket()
	if err != nil {
		return err
	}
	if p[0] == mysql.OK_HEADER {
		r.done = true
		return nil
	}
	count, _, ok := lengthEncoded(p)
	if !ok || count == 0 {
		return errMalformed
	}
	for range count {
		p, err := c.readPacket()
		if err != nil {
			return err
		}
		col, err := parseColumn(p)
		if err != nil {
			return err
		}
		r.Columns = append(r.Columns, col)
	}
	if p, err = c.readPacket(); err != nil {
		return err
	}
	if !isEOF(p) {
		return errMalformed
	}
	return nil
}

// Next moves to the next row and says whether there is one. After false, Close has the error.
func (r *Rows) Next() bool {
	if r.done {
		return false
	}
	p, err := r.c.readPacket()
	if err != nil {
		r.fail(err)
		return false
	}
	if isEOF(p) {
		r.done = true
		return false
	}
	r.raw = p
	return true
}

// Raw returns the row as the protocol has it: for each column 0xfb for NULL, or a length-encoded string. It is valid until the following Next.
func (r *Rows) Raw() []byte { return r.raw }

// Close ends the result and returns the error that ended it, if any. Closing before the last row gives the session up: the server's remaining
// rows stand in its way.
func (r *Rows) Close() error {
	if !r.stop() && r.err == nil {
		r.fail(r.stopped())
	}
	if !r.done && r.err == nil {
		r.c.broken = fmt.Errorf("a result was left unread on the connection to %s", r.c.cfg.Addr)
		r.c.raw.Close()
		r.done = true
	}
	return r.err
}

// fail records err. Errors of the server leave the session usable; any other ends it.
func (r *Rows) fail(err error) error {
	r.done = true
	r.stop()
	var server *ServerError
	if ctxErr := r.stopped(); ctxErr != nil && !errors.As(err, &server) {
		err = ctxErr
	}
	r.err = r.c.wrap("run a statement", err)
	if !errors.As(err, &server) {
		r.c.broken = r.err
		r.c.raw.Close()
	}
	return r.err
}

func (r *Rows) values() ([]Value, error) {
	row := make([]Value, len(r.Columns))
	p := r.raw
	for i := range row {
		cell, rest, ok := Cell(p)
		if !ok {
			return nil, errMalformed
		}
		row[i] = Value{string(cell), cell == nil}
		p = rest
	}
	return row, nil
}

// Cell takes one column off a raw row: nil for NULL, a view into p otherwise. ok is false if p is not a row.
func Cell(p []byte) (cell, rest []byte, ok bool) {
	if len(p) == 0 {
		return nil, nil, false
	}
	if n := int(p[0]); n < 0xfb {
		if n >= len(p) {
			return nil, nil, false
		}
		return p[1 : 1+n : 1+n], p[1+n:], true
	}
	if p[0] == 0xfb {
		return nil, p[1:], true
	}
	n, p, ok := lengthEncoded(p)
	if !ok || n > uint64(len(p)) {
		return nil, nil, false
	}
	return p[:n:n], p[n:], true
}

func lengthEncoded(p []byte) (n uint64, rest []byte, ok bool) {
	if len(p) == 0 {
		return 0, nil, false
	}
	size := 0
	switch p[0] {
	case 0xfc:
		size = 2
	case 0xfd:
		size = 3
	case 0xfe:
		size = 8
	case 0xfb, 0xff:
		return 0, nil, false
	default:
		return uint64(p[0]), p[1:], true
	}
	if len(p) < 1+size {
		return 0, nil, false
	}
	var b [8]byte
	copy(b[:], p[1:1+size])
	return binary.LittleEndian.Uint64(b[:]), p[1+size:], true
}

// parseColumn reads a ColumnDefinition41: catalog, schema, table, org_table, name, org_name, then 0x0c, charset (2), length (4), type (1).
func parseColumn(p []byte) (ResultColumn, error) {
	var col ResultColumn
	for i := range 6 {
		cell, rest, ok := Cell(p)
		if !ok {
			return col, errMalformed
		}
		if i == 4 {
			col.Name = string(cell)
		}
		p = rest
	}
	if len(p) < 8 {
		return col, errMalformed
	}
	col.Type = p[7]
	return col, nil
}

func isEOF(p []byte) bool { return p[0] == mysql.EOF_HEADER && len(p) < 9 }

func (c *Conn) writeCommand(command byte, arg string) error {
	n := 1 + len(arg)
	if n >= maxPacket {
		return fmt.Errorf("a statement of %d bytes is too long", len(arg))
	}
	b := make([]byte, 0, 4+n)
	b = append(b, byte(n), byte(n>>8), byte(n>>16), 0, command)
	_, err := c.raw.Write(append(b, arg...))
	c.seq = 1
	return err
}

// readPacket returns the next packet, valid until the call after; a *ServerError where it is one.
func (c *Conn) readPacket() ([]byte, error) {
	if c.peeked > 0 {
		c.br.Discard(c.peeked)
		c.peeked = 0
	}
	n, err := c.readHeader()
	if err != nil {
		return nil, err
	}
	var p []byte
	if n < maxPacket && 4+n <= c.br.Size() {
		if p, err = c.br.Peek(4 + n); err != nil {
			return nil, unexpected(err)
		}
		c.peeked, p = 4+n, p[4:]
	} else if p, err = c.readBig(n); err != nil {
		return nil, err
	}
	if len(p) == 0 {
		return nil, errMalformed
	}
	if p[0] == mysql.ERR_HEADER {
		return nil, parseError(p)
	}
	return p, nil
}

// readHeader leaves the header in br.
func (c *Conn) readHeader() (int, error) {
	h, err := c.br.Peek(4)
	if err != nil {
		return 0, unexpected(err)
	}
	if h[3] != c.seq {
		return 0, fmt.Errorf("packet %d came where %d was due", h[3], c.seq)
	}
	c.seq++
	return int(h[0]) | int(h[1])<<8 | int(h[2])<<16, nil
}

// readBig reads a packet that br cannot hold, or several that are one.
func (c *Conn) readBig(n int) ([]byte, error) {
	if cap(c.big) > keepBig {
		c.big = nil
	}
	c.big = c.big[:0]
	for {
		c.br.Discard(4)
		at := len(c.big)
		if at+n > cap(c.big) {
			c.big = append(make([]byte, 0, at+n), c.big...)
		}
		c.big = c.big[:at+n]
		if _, err := io.ReadFull(c.br, c.big[at:]); err != nil {
			return nil, unexpected(err)
		}
		if n < maxPacket {
			return c.big, nil
		}
		var err error
		if n, err = c.readHeader(); err != nil {
			return nil, err
		}
	}
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func parseError(p []byte) error {
	if len(p) < 3 {
		return errMalformed
	}
	e := &ServerError{Code: binary.LittleEndian.Uint16(p[1:]), State: "HY000"}
	p = p[3:]
	if len(p) >= 6 && p[0] == '#' {
		e.State, p = string(p[1:6]), p[6:]
	}
	e.Message = string(p)
	return e
}

package binlog

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/rowmesh/rowmesh/services/charset"
)

// queryInfo is what a QUERY event holds; views into the event.
type queryInfo struct {
	thread   uint32
	database []byte
	sql      []byte
	client   uint16 // collation of the statement's text; 0 if not said
	session  Session
}

// Status variables of a query event (log_event.h of both servers; MariaDB's own begin at 128). They come in no fixed order. One whose length is not known
// ends the search: its successors cannot be found.
const (
	statusFlags2            = 0
	statusSQLMode           = 1
	statusCatalog           = 2
	statusAutoIncrement     = 3
	statusCharset           = 4
	statusTimeZone          = 5
	statusCatalogNZ         = 6
	statusLcTimeNames       = 7
	statusCharsetDatabase   = 8
	statusTableMapForUpdate = 9
	statusDataWritten       = 10
	statusInvoker           = 11
	statusUpdatedDatabases  = 12
	statusMicroseconds      = 13
	statusExplicitTimestamp = 16
	statusXID               = 17
	statusUTF8MB4Collation  = 18
	statusNeedsPrimaryKey   = 19
	statusEncryption        = 20
	statusMariaMicroseconds = 128
	statusMariaXID          = 129
)

// optionExplicitTimestamp is explicit_defaults_for_timestamp among MariaDB's flags since 10.10.2 (OPTION_EXPLICIT_DEF_TIMESTAMP); MySQL leaves the bit alone.
const optionExplicitTimestamp = 1 << 24

// tooManyDatabases stands in place of the number of databases where there were more than fit.
const tooManyDatabases = 254

// parseQuery reads a QUERY event: thread, execution time, lengths of database, error code, length of the status variables; then those things.
func parseQuery(b []byte) (queryInfo, error) {
	c := cursor{b: b}
	var q queryInfo
	q.thread = c.u32()
	c.skip(4)
	db := int(c.u8())
	q.session.ErrorCode = c.u16()
	status := c.take(int(c.u16()))
	q.database = c.take(db)
	c.skip(1)
	if c.failed {
		return q, errShort
	}
	q.sql = c.b
	q.parseStatus(status)
	return q, nil
}

func (q *queryInfo) parseStatus(status []byte) {
	c := cursor{b: status}
	for len(c.b) > 0 && !c.failed {
		switch c.u8() {
		case statusFlags2:
			if c.u32()&optionExplicitTimestamp != 0 {
				q.session.Timestamps = ExplicitTimestamps
			}
		case statusAutoIncrement, statusDataWritten:
			c.skip(4)
		case statusSQLMode:
			q.session.SQLMode = c.u64()
		case statusTableMapForUpdate, statusXID, statusMariaXID:
			c.skip(8)
		case statusCatalog:
			c.skip(int(c.u8()) + 1)
		case statusTimeZone, statusCatalogNZ:
			c.skip(int(c.u8()))
		case statusLcTimeNames, statusCharsetDatabase, statusUTF8MB4Collation:
			c.skip(2)
		case statusNeedsPrimaryKey, statusEncryption:
			c.skip(1)
		case statusMicroseconds, statusMariaMicroseconds:
			c.skip(3)
		case statusInvoker:
			c.skip(int(c.u8()))
			c.skip(int(c.u8()))
		case statusUpdatedDatabases:
			if n := c.u8(); n != tooManyDatabases {
				for range n {
					c.skip(bytes.IndexByte(c.b, 0) + 1) // 0 moves nowhere, and the next name is none either
				}
			}
		case statusExplicitTimestamp:
			if c.u8() != 0 {
				q.session.Timestamps = ExplicitTimestamps
			} else {
				q.session.Timestamps = ImplicitTimestamps
			}
		case statusCharset:
			q.client = c.u16()
			c.skip(2)
			q.session.ServerCollation = c.u16()
			if c.failed {
				q.client, q.session.ServerCollation = 0, 0
			}
		default:
			return
		}
	}
}

// text returns the statement in UTF-8.
func (q *queryInfo) text() string {
	if q.client != 0 {
		if _, cs, ok := charset.ByCollation(q.client); ok {
			if dec, ok := charset.Decoder(cs); ok && dec != nil {
				return string(dec(nil, q.sql))
			}
		}
	}
	return string(q.sql)
}

// verb classifies the statements that frame transactions. The servers write these themselves, in upper case and without comments; what a user writes
// by hand (a commit of a non-transactional table, a savepoint) can differ in case.
type verb uint8

const (
	otherVerb verb = iota
	beginVerb
	commitVerb
	rollbackVerb
	savepointVerb
	xaStartVerb
	xaEndVerb
	xaCommitVerb
	xaRollbackVerb
)

var verbs = []struct {
	text string
	verb verb
	rest bool // more may follow
}{
	{"BEGIN", beginVerb, false},
	{"COMMIT", commitVerb, false},
	{"ROLLBACK", rollbackVerb, false},
	{"SAVEPOINT ", savepointVerb, true},
	{"ROLLBACK TO ", savepointVerb, true},
	{"RELEASE SAVEPOINT ", savepointVerb, true},
	{"XA START ", xaStartVerb, true},
	{"XA BEGIN ", xaStartVerb, true},
	{"XA END ", xaEndVerb, true},
	{"XA COMMIT ", xaCommitVerb, true},
	{"XA ROLLBACK ", xaRollbackVerb, true},
}

func verbOf(sql []byte) verb {
	if len(sql) == 5 && string(sql) == "BEGIN" {
		return beginVerb
	}
	for i := range verbs {
		v := &verbs[i]
		if len(sql) < len(v.text) || !v.rest && len(sql) != len(v.text) {
			continue
		}
		if bytes.EqualFold(sql[:len(v.text)], []byte(v.text)) {
			return v.verb
		}
	}
	return otherVerb
}

// xidOf takes the XA id out of a logged XA statement: XA COMMIT X'..',X'..',1.
func xidOf(sql []byte) (string, error) {
	s := string(sql)
	i := strings.Index(s, "X'")
	if i < 0 {
		return "", fmt.Errorf("no XA id in %q", s)
	}
	return strings.ToLower(strings.TrimSpace(strings.TrimSuffix(s[i:], " ONE PHASE"))), nil
}

package binlog

import (
	"bytes"
	"fmt"

	"github.com/rowmesh/rowmesh/services/config"
)

// statement handles QUERY events, header first, and MariaDB's compressed ones.
func (s *Stream) statement(h header, b []byte, at place) (bool, error) {
	q, err := parseQuery(b[headerSize:])
	if err != nil {
		return false, err
	}
	if h.kind == mariaQueryCompressed {
		if q.sql, err = s.inflate.mariaDB(q.sql, s.cfg.MaxEventBytes); err != nil {
			return false, fmt.Errorf("compressed statement at %d: %w", at.pos, err)
		}
	}
	switch verbOf(q.sql) {
	case beginVerb:
		if s.txn.open { // MariaDB: its GTID event was the BEGIN
			s.txn.index++
			return false, nil
		}
		return s.open(h, at, q.thread), nil
	case commitVerb:
		if s.saved.on {
			s.release(b, at)
			return false, nil
		}
		if s.txn.open {
			return s.end(h, at, Commit), nil
		}
	case rollbackVerb:
		if s.saved.on {
			s.release(b, at)
			return false, nil
		}
		if s.txn.open {
			return s.end(h, at, Rollback), nil
		}
	case savepointVerb:
		return false, s.savepoint(q.sql, at)
	case xaStartVerb:
		return false, s.xaStart(h, &q, at)
	case xaEndVerb:
		s.txn.index++
		return false, nil
	case xaCommitVerb:
		return s.xaCommit(h, &q, at)
	case xaRollbackVerb:
		s.xaRollback(&q)
	}
	s.emitStatement(h, &q, at)
	return true, nil
}

// emitStatement makes the event of a statement; outside of a transaction it is one of its own.
func (s *Stream) emitStatement(h header, q *queryInfo, at place) {
	inside := s.txn.open
	if !inside {
		s.txn.thread = q.thread
		if s.cfg.Flavor != config.MariaDB || s.gtid.gno == 0 {
			s.txn.pos = at.pos
		}
	}
	s.event(h, Query, at)
	s.ev.EventIndex = s.txn.index
	s.ev.SQL, s.ev.Database, s.ev.InTransaction, s.ev.Session = q.text(), string(q.database), inside, q.session
	if inside {
		s.txn.index++
		return
	}
	s.finish()
}

// loadStatement handles the statement-based LOAD DATA: a QUERY event with 13 bytes more in its fixed part.
func (s *Stream) loadStatement(h header, body []byte, at place) (bool, error) {
	const fixed, more = 13, 13
	if len(body) < fixed+more {
		return false, errShort
	}
	q, err := parseQuery(append(bytes.Clone(body[:fixed]), body[fixed+more:]...))
	if err != nil {
		return false, err
	}
	s.emitStatement(h, &q, at)
	return true, nil
}

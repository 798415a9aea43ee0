package traffic

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/mysql"
)

// Server is where a workload writes.
type Server struct {
	Addr, User, Password string
	Database             string
}

const (
	// patience is how long a transaction is tried: longer than any outage of a schedule, which is five minutes at most.
	patience = 10 * time.Minute
	// answerTimeout is how long a statement may take. The longest is one of many rows on a busy machine; a network that swallows everything is noticed after it.
	answerTimeout = 15 * time.Second
	retryPause    = 200 * time.Millisecond
)

// connect makes a connection; database may be empty.
func (s *Server) connect(ctx context.Context, database string) (*client.Conn, error) {
	return client.ConnectWithContext(ctx, s.Addr, s.User, s.Password, database, 5*time.Second, func(c *client.Conn) error {
		c.ReadTimeout, c.WriteTimeout = answerTimeout, answerTimeout
		return nil
	})
}

// setup runs statements, the first of which may make the database.
func (s *Server) setup(ctx context.Context, database string, statements ...string) error {
	c, err := s.connect(ctx, database)
	if err != nil {
		return err
	}
	defer c.Close()
	for _, q := range statements {
		if _, err := c.Execute(q); err != nil {
			return fmt.Errorf("%.200s: %w", q, err)
		}
	}
	return nil
}

// session is a writer's connection, made anew whenever it fails.
type session struct {
	Server
	c *client.Conn
}

// work is a transaction.
type work struct {
	statements []string
	// witness is a row that says whether it is committed: the version that the row has then, 0 if it is gone.
	witness witness
}

type witness struct {
	table        string
	key, version int64
}

// commit tries a transaction until it is committed. An error says that the server refuses it, or that it did not come back.
func (s *session) commit(w work) error {
	tried := false
	var last error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(retryPause) {
		done, err := s.once(w, tried)
		if done {
			return nil
		}
		s.close()
		tried, last = true, err
		if !passing(err) {
			return err
		}
	}
	return fmt.Errorf("not committed within %s: %w", patience, last)
}

// once tries a transaction once. tried says that it was tried before, and may have been committed.
func (s *session) once(w work, tried bool) (done bool, err error) {
	if s.c == nil {
		if s.c, err = s.connect(context.Background(), s.Database); err != nil {
			return false, err
		}
	}
	if tried {
		if done, err := s.committed(w.witness); done || err != nil {
			return done, err
		}
	}
	if err := s.c.Begin(); err != nil {
		return false, err
	}
	for _, q := range w.statements {
		if _, err := s.c.Execute(q); err != nil {
			return false, fmt.Errorf("%.200s: %w", q, err)
		}
	}
	err = s.c.Commit()
	return err == nil, err
}

func (s *session) committed(w witness) (bool, error) {
	r, err := s.c.Execute(fmt.Sprintf("select version from %s where k = %d", w.table, w.key))
	if err != nil {
		return false, err
	}
	if r.RowNumber() == 0 {
		return w.version == 0, nil
	}
	v, err := r.GetInt(0, 0)
	return v == w.version, err
}

func (s *session) close() {
	if s.c != nil {
		s.c.Close()
		s.c = nil
	}
}

// passing reports that an error goes away by itself: connections, elections, locks, and what a transaction finds that is still open on a connection given up. All
// codes are of the servers' error messages reference.
func passing(err error) bool {
	var e *mysql.MyError
	if !errors.As(err, &e) {
		return true // no answer
	}
	switch e.Code {
	case 1040, 1053, 1077, 1105, 1152, 1158, 1159, 1160, 1161, 1184, 1203, 1226, // connections, shutdown
		1205, 1213, 1206, 3572, // locks
		1290, 1792, 1836, 1223, 3100, // read only, before and behind a failover
		1317, 1927, 3024, // killed
		1412, 1615, 1146, // the table changes at this moment, or is not yet there
		1062,                    // of an insert that another connection, given up, has committed meanwhile
		1114, 1021, 1026, 3, 28: // disk
		return true
	}
	return false
}

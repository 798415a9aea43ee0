package bound

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/client"

	"github.com/rowmesh/rowmesh/integration/harness"
)

// dumps fails unless the server has want binlog connections.
func dumps(conn *client.Conn, want int64) error {
	r, err := conn.Execute("select count(*) from information_schema.processlist where command like 'Binlog Dump%'")
	if err != nil {
		return err
	}
	defer r.Close()
	if n, err := r.GetInt(0, 0); err != nil || n != want {
		return fmt.Errorf("%d binlog connections, want %d (%v)", n, want, err)
	}
	return nil
}

// TestManyConnectorsShareOneConnection: twenty connectors of one server, each with its own table, are fed by one reader: when they start, and when they come
// back after a stop, each from its own place in the log.
func TestManyConnectorsShareOneConnection(t *testing.T) {
	const connectors = 20
	for _, engine := range []harness.Part{harness.MySQL, harness.MariaDB} {
		t.Run(string(engine), func(t *testing.T) {
			addr, kafka := harness.Addr(t, engine), harness.Addr(t, harness.Kafka)
			m := harness.Start(t, one, nil)
			conn := harness.Root(t, addr)
			db := "bound_many_" + string(engine)
			harness.Exec(t, conn, "drop database if exists "+db, "create database "+db)
			single := func() error { return dumps(conn, 1) }
			var names []string
			var seen []*ids
			for i := range connectors {
				name := fmt.Sprintf("%s-%d", db, i)
				names = append(names, name)
				harness.Exec(t, conn, fmt.Sprintf("create table %s.t%d (id int primary key)", db, i))
				m.Create(t, name, m.Connector(engine, addr, name, db, plain(fmt.Sprintf("%s.t%d", db, i))))
				seen = append(seen, watch(t, kafka, fmt.Sprintf("%s.%s.t%d", name, db, i), 100))
			}
			for _, name := range names {
				harness.Await(t, time.Minute, name+" to run", func() error { return started(t, m, name) })
			}
			next := 0
			rows := func() {
				for i := range connectors {
					harness.Exec(t, conn, fmt.Sprintf("insert into %s.t%d values (%d)", db, i, next))
				}
				next++
			}
			arrive := func() {
				for i, w := range seen {
					harness.Await(t, time.Minute, "the rows of "+names[i], func() error { return w.reached(next) })
					w.exact(t)
				}
			}
			rows()
			harness.Await(t, 30*time.Second, "one connection", single)
			rows()
			arrive()
			for _, name := range names {
				if code, body := m.Call(t, http.MethodPut, "/connectors/"+name+"/stop", nil); code/100 != 2 {
					t.Fatalf("stop %s: %d %s", name, code, body)
				}
				rows() // so each has stopped at another place
			}
			for _, name := range names {
				if code, body := m.Call(t, http.MethodPut, "/connectors/"+name+"/resume", nil); code/100 != 2 {
					t.Fatalf("resume %s: %d %s", name, code, body)
				}
			}
			arrive()
			harness.Await(t, 30*time.Second, "one connection again", single)
			rows()
			arrive()
			t.Logf("capturer %d MB, publisher %d MB at most with %d connectors", memory(t, m.Process("capturer-1"), "VmHWM"), memory(t, m.Process("publisher-1"), "VmHWM"), connectors)
		})
	}
}

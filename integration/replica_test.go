package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/rowmesh/rowmesh/deploy/servers"
	"github.com/rowmesh/rowmesh/integration/harness"
)

// TestSnapshotReadsAReplica has rowmesh.snapshot.host name a replica, on which one row is different: so that is what the snapshot has read. A writer counts meanwhile. The count in the
// snapshot and those in the log follow each other without a gap: the place of the replica is found in the log of its source.
func TestSnapshotReadsAReplica(t *testing.T) {
	for _, engine := range []harness.Part{harness.MySQL, harness.MariaDB} {
		t.Run(string(engine), func(t *testing.T) {
			addr := harness.Addr(t, engine)
			m := harness.Start(t, harness.Size{Coordinators: 1, Capturers: 1, Publishers: 1}, nil)
			replica := startReplica(t, engine, addr)
			name := "replica_" + string(engine)
			c, there := harness.Root(t, addr), harness.Root(t, replica)
			harness.Exec(t, c, "drop database if exists "+name, "create database "+name, "create table "+name+".seen (id int primary key, v varchar(20))",
				"insert into "+name+".seen values (1, 'source')", "create table "+name+".counts (id int primary key, v int)", "insert into "+name+".counts values (1, 0)")
			harness.Await(t, 60*time.Second, "the replica", func() error {
				res, err := there.Execute("select v from " + name + ".counts")
				if err == nil && res.RowNumber() != 1 {
					err = fmt.Errorf("%d rows", res.RowNumber())
				}
				return err
			})
			harness.Exec(t, there, "set session sql_log_bin=0", "set global read_only=0", "update "+name+".seen set v='replica'")
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() {
				for ctx.Err() == nil {
					if _, err := c.Execute("update " + name + ".counts set v=v+1"); err != nil {
						ended <- err
						return
					}
				}
				ended <- nil
			}()
			m.Create(t, name, m.Connector(engine, addr, name, name, map[string]string{
				"key.converter.schemas.enable": "false", "value.converter.schemas.enable": "false", "include.schema.changes": "false",
				"snapshot.locking.mode": "minimal", "rowmesh.snapshot.host": replica, "snapshot.max.threads": "2",
			}))
			r := follow(t, m.Kafka, name)
			var seen []string
			var counts []int
			harness.Await(t, 60*time.Second, "rows of the snapshot and of the log", func() error {
				seen, counts = nil, nil
				for _, x := range r.records() {
					var e struct {
						Op    string
						After struct{ V any }
					}
					if err := json.Unmarshal(x.Value, &e); err != nil {
						return err
					}
					switch x.Topic {
					case name + "." + name + ".seen":
						seen = append(seen, fmt.Sprint(e.Op, " ", e.After.V))
					case name + "." + name + ".counts":
						counts = append(counts, int(e.After.V.(float64)))
					}
				}
				if len(seen) < 1 || len(counts) < 100 {
					return fmt.Errorf("seen %v, %d counts; %s", seen, len(counts), status(t, m, name))
				}
				return nil
			})
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			if len(seen) != 1 || seen[0] != "r replica" {
				t.Errorf("the snapshot has read %v, want the row that the replica has", seen)
			}
			for i, n := range counts {
				if n != counts[0]+i {
					t.Fatalf("counts %v", counts[:i+1])
				}
			}
			t.Logf("the snapshot has count %d, and %d follow", counts[0], len(counts)-1)
		})
	}
}

// startReplica starts a server that replicates what is written on another from now on, and returns its address.
func startReplica(t *testing.T, engine harness.Part, source string) string {
	t.Helper()
	p, err := harness.ProgramAt(t, source).Start(t.Context(), servers.DatabaseOptions{Dir: t.TempDir(), ServerID: 77, Extra: []string{"--log-slave-updates=1"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	host, port, _ := net.SplitHostPort(source)
	c, there := harness.Root(t, source), harness.Root(t, p.Addr)
	executed := "@@global.gtid_executed"
	if engine == harness.MariaDB {
		executed = "@@global.gtid_binlog_pos"
	}
	res, err := c.Execute("select " + executed)
	if err != nil {
		t.Fatal(err)
	}
	set, err := res.GetString(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	if engine == harness.MariaDB {
		harness.Exec(t, there, "set global gtid_slave_pos='"+set+"'", fmt.Sprintf("change master to master_host='%s', master_port=%s, master_user='%s', master_password='%s', master_use_gtid=slave_pos",
			host, port, servers.ConnectorUser, servers.ConnectorPass), "start slave")
		return p.Addr
	}
	harness.Exec(t, there, "reset binary logs and gtids", "set global gtid_purged='"+set+"'", fmt.Sprintf(
		"change replication source to source_host='%s', source_port=%s, source_user='%s', source_password='%s', source_auto_position=1, get_source_public_key=1",
		host, port, servers.ConnectorUser, servers.ConnectorPass), "start replica")
	return p.Addr
}

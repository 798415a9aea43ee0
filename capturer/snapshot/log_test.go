package snapshot

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/config"
)

// openLog opens the server's log at p: by GTIDs where there are any, as the stream does it.
func openLog(t *testing.T, f *fixture, p *rowv1.Position) *replication.BinlogStreamer {
	t.Helper()
	host, port, _ := net.SplitHostPort(f.cfg.Addr)
	n, _ := strconv.Atoi(port)
	flavor := mysql.MySQLFlavor
	if f.conn.Flavor() == config.MariaDB {
		flavor = mysql.MariaDBFlavor
	}
	syncer := replication.NewBinlogSyncer(replication.BinlogSyncerConfig{ServerID: 770000 + uint32(time.Now().UnixNano()%10000), Flavor: flavor, Host: host, Port: uint16(n),
		User: "root", DisableRetrySync: true, Logger: slog.New(slog.DiscardHandler)})
	t.Cleanup(syncer.Close)
	var s *replication.BinlogStreamer
	var err error
	if p.Gtids == "" {
		s, err = syncer.StartSync(mysql.Position{Name: p.File, Pos: uint32(p.Pos)})
	} else {
		var set mysql.GTIDSet
		if set, err = mysql.ParseGTIDSet(flavor, p.Gtids); err == nil {
			s, err = syncer.StartSyncGTID(set)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// nextRows returns the next rows of one of the fixture's tables in the log.
func nextRows(t *testing.T, f *fixture, log *replication.BinlogStreamer) (table string, rows [][]any, event replication.EventType) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		ev, err := log.GetEvent(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if rows, ok := ev.Event.(*replication.RowsEvent); ok && string(rows.Table.Schema) == f.db {
			return string(rows.Table.Table), rows.Rows, ev.Header.EventType
		}
	}
}

// nextInLog returns the value before the first update of seq that the log holds from p on.
func nextInLog(t *testing.T, f *fixture, p *rowv1.Position) int {
	t.Helper()
	log := openLog(t, f, p)
	for {
		if table, rows, _ := nextRows(t, f, log); table == "seq" && len(rows) == 2 {
			return int(rows[0][1].(int32))
		}
	}
}

// replay applies the log from p on to the rows of table t, as text by key, until the row that the writers leave last.
func replay(t *testing.T, f *fixture, p *rowv1.Position, state map[string]string) {
	t.Helper()
	log := openLog(t, f, p)
	for {
		table, rows, event := nextRows(t, f, log)
		if table == "finished" {
			return
		}
		for i, r := range rows {
			key, text := fmt.Sprint(r[0]), fmt.Sprintf("%v|%v", r[0], r[1])
			switch event {
			case replication.WRITE_ROWS_EVENTv1, replication.WRITE_ROWS_EVENTv2:
				state[key] = text
			case replication.DELETE_ROWS_EVENTv1, replication.DELETE_ROWS_EVENTv2:
				delete(state, key)
			default:
				if i%2 == 1 {
					state[key] = text
				}
			}
		}
	}
}

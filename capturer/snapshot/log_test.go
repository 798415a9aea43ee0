package snapshot

import (
	"context"
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

// nextInLog returns the value before the first update of seq that the log holds from p on. GTIDs say where where there are any, as the stream does it.
func nextInLog(t *testing.T, f *fixture, p *rowv1.Position) int {
	t.Helper()
	host, port, _ := net.SplitHostPort(f.cfg.Addr)
	n, _ := strconv.Atoi(port)
	flavor := mysql.MySQLFlavor
	if f.conn.Flavor() == config.MariaDB {
		flavor = mysql.MariaDBFlavor
	}
	syncer := replication.NewBinlogSyncer(replication.BinlogSyncerConfig{ServerID: 770000 + uint32(time.Now().UnixNano()%10000), Flavor: flavor, Host: host, Port: uint16(n),
		User: "root", DisableRetrySync: true, Logger: slog.New(slog.DiscardHandler)})
	defer syncer.Close()
	streamer, err := startLog(syncer, flavor, p)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		ev, err := streamer.GetEvent(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if rows, ok := ev.Event.(*replication.RowsEvent); ok && string(rows.Table.Schema) == f.db && string(rows.Table.Table) == "seq" && len(rows.Rows) == 2 {
			return int(rows.Rows[0][1].(int32))
		}
	}
}

func startLog(syncer *replication.BinlogSyncer, flavor string, p *rowv1.Position) (*replication.BinlogStreamer, error) {
	if p.Gtids == "" {
		return syncer.StartSync(mysql.Position{Name: p.File, Pos: uint32(p.Pos)})
	}
	set, err := mysql.ParseGTIDSet(flavor, p.Gtids)
	if err != nil {
		return nil, err
	}
	return syncer.StartSyncGTID(set)
}

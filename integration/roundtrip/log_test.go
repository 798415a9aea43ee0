package roundtrip

import (
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/rowmesh/rowmesh/deploy/servers"
)

// logged is a row of the log as go-mysql decodes it.
type logged struct {
	op            byte
	before, after []any
}

// here returns the end of the log.
func here(t testing.TB, c *client.Conn) mysql.Position {
	t.Helper()
	r := query(t, c, "show binary logs")
	last := r.RowNumber() - 1
	pos, err := r.GetUint(last, 1)
	if err != nil {
		t.Fatal(err)
	}
	return mysql.Position{Name: str(t, r, last, 0), Pos: uint32(pos)}
}

// readLog reads the rows of a database from a position to the first row of the marker table, by table and in order.
func readLog(t testing.TB, addr, flavor string, from mysql.Position, database, marker string) map[string][]logged {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	s := replication.NewBinlogSyncer(replication.BinlogSyncerConfig{ServerID: 4_100_000 + uint32(n), Flavor: flavor, Host: host, Port: uint16(n), User: servers.RootUser,
		TimestampStringLocation: time.UTC, RenderJSONAsMySQLText: true, DisableRetrySync: true, Logger: slog.New(slog.DiscardHandler)})
	defer s.Close()
	stream, err := s.StartSync(from)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	out := map[string][]logged{}
	for out[marker] == nil {
		e, err := stream.GetEvent(ctx)
		if err != nil {
			t.Fatalf("go-mysql: %v", err)
		}
		collect(out, e, database)
	}
	return out
}

func collect(out map[string][]logged, e *replication.BinlogEvent, database string) {
	switch x := e.Event.(type) {
	case *replication.TransactionPayloadEvent:
		for _, inner := range x.Events {
			collect(out, inner, database)
		}
	case *replication.RowsEvent:
		if string(x.Table.Schema) != database {
			return
		}
		name := string(x.Table.Table)
		switch x.Type() {
		case replication.EnumRowsEventTypeUpdate, replication.EnumRowsEventTypeUnknown: // it has no name for partial updates
			for i := 0; i+1 < len(x.Rows); i += 2 {
				out[name] = append(out[name], logged{op: 'u', before: x.Rows[i], after: x.Rows[i+1]})
			}
		case replication.EnumRowsEventTypeInsert:
			for _, r := range x.Rows {
				out[name] = append(out[name], logged{op: 'c', after: r})
			}
		case replication.EnumRowsEventTypeDelete:
			for _, r := range x.Rows {
				out[name] = append(out[name], logged{op: 'd', before: r})
			}
		}
	}
}

// sameLogged compares a value of the log with what was selected.
func (c *column) sameLogged(want cell, v any) (string, bool) {
	if v == nil || want.null {
		return fmt.Sprint(v), v == nil && want.null
	}
	s := spell(v)
	switch c.fam {
	case integer, bit, enum, set: // not every server logs signs
		n, err := strconv.ParseInt(s, 10, 64)
		if u, errU := strconv.ParseUint(s, 10, 64); errU == nil {
			n, err = int64(u), nil
		}
		w, errW := strconv.ParseInt(want.log, 10, 64)
		if u, errU := strconv.ParseUint(want.log, 10, 64); errU == nil {
			w, errW = int64(u), nil
		}
		bits := c.size
		if c.fam != integer {
			bits = 64
		}
		return s, err == nil && errW == nil && uint64(n)<<(64-bits) == uint64(w)<<(64-bits)
	case float32s, float64s:
		switch f := v.(type) {
		case float32:
			s = float(float64(f), 32)
		case float64:
			s = float(f, 64)
		}
	case text:
		s = hex.EncodeToString([]byte(s))
	case bytesType: // zeros at the end of BINARY are not logged
		s = hex.EncodeToString([]byte(s))
		if c.fixed {
			s += strings.Repeat("0", max(0, len(want.log)-len(s)))
		}
	case geometry, vector:
		s = hex.EncodeToString([]byte(s))
	case date, timeOfDay, datetime, timestamp:
		s = trimFraction(s)
	case document:
		if _, ok := v.(*replication.JsonDiff); ok {
			return s, true // go-mysql keeps the first of several differences
		}
		if s == "" {
			return s, true // no difference
		}
	case uuid: // groups of some versions are stored in another order
		return s, sortedBytes(hex.EncodeToString([]byte(s))+strings.Repeat("0", 32-2*len(s))) == sortedBytes(want.log)
	case inet:
		s = hex.EncodeToString([]byte(s))
		s += strings.Repeat("0", max(0, len(want.log)-len(s)))
	}
	return s, c.sameText(want.log, s)
}

func sortedBytes(h string) string {
	b, _ := hex.DecodeString(h)
	slices.Sort(b)
	return string(b)
}

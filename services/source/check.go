package source

import (
	"context"
	"fmt"
	"strings"

	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
)

// Needs says what a connector wants of its server.
type Needs struct {
	Stream   bool // the log
	Snapshot bool // the rows that are there
	// Flavor is what the connector's class is for; empty: any.
	Flavor config.Flavor
	// NoLocks says that the snapshot takes none (snapshot.locking.mode=none).
	NoLocks bool
}

// Problem is one thing that stands in the way.
type Problem struct {
	// Option is the connector option under which a user would look for it: "database.user", "database.hostname", "connector.class", "snapshot.mode".
	Option string
	Kind   errs.Kind
	// Text says what is wrong and what to run.
	Text string
	// Warning says that the connector works all the same, though not as well.
	Warning bool
}

// Check returns all that stands in the way of a connector at once, so that one visit to the server's owner is enough. An error means that the
// server could not be asked.
func Check(ctx context.Context, c *Conn, needs Needs) ([]Problem, error) {
	info, err := Describe(ctx, c)
	if err != nil {
		return nil, err
	}
	g, err := readGrants(ctx, c)
	if err != nil {
		return nil, err
	}
	problems := checkFlavor(info, needs)
	if needs.Stream {
		problems = append(problems, checkLog(info)...)
	}
	return append(problems, checkGrants(c, g, needs)...), nil
}

func checkFlavor(info Info, needs Needs) []Problem {
	if needs.Flavor == "" || needs.Flavor == info.Flavor {
		return nil
	}
	class := map[config.Flavor]string{config.MySQL: "io.debezium.connector.mysql.MySqlConnector", config.MariaDB: "io.debezium.connector.mariadb.MariaDbConnector"}
	return []Problem{{Option: "connector.class", Kind: errs.Invalid, Warning: true, Text: fmt.Sprintf(
		"the server is %s %s but the connector class is for %s: the server is read as what it is; use %s",
		productName(info.Flavor), info.Version, productName(needs.Flavor), class[info.Flavor])}}
}

func productName(f config.Flavor) string {
	if f == config.MariaDB {
		return "MariaDB"
	}
	return "MySQL"
}

func checkLog(info Info) []Problem {
	var ps []Problem
	host := func(kind errs.Kind, warning bool, text string) {
		ps = append(ps, Problem{Option: "database.hostname", Kind: kind, Text: text, Warning: warning})
	}
	if !info.LogBin {
		host(errs.Unsupported, false, "the server keeps no binary log (log_bin=OFF): set log_bin, server_id and binlog_format=ROW in its configuration file and restart it")
		return ps // the rest means nothing without a log
	}
	if info.BinlogFormat != "" && info.BinlogFormat != "ROW" {
		host(errs.Unsupported, false, fmt.Sprintf("binlog_format is %s, and changes logged as statements carry no rows: run SET GLOBAL binlog_format='ROW', put binlog_format=ROW into the "+
			"server's configuration file, and let sessions that are open reconnect", info.BinlogFormat))
	}
	if info.RowImage != "" && info.RowImage != "FULL" {
		host(errs.Unsupported, true, fmt.Sprintf("binlog_row_image is %s: columns that a change does not log are left out of its event; for whole rows run SET GLOBAL binlog_row_image='FULL'", info.RowImage))
	}
	if strings.Contains(info.RowValueOptions, "PARTIAL_JSON") {
		host(errs.Unsupported, true, "binlog_row_value_options is PARTIAL_JSON: updates log JSON columns as differences; to log whole documents run SET GLOBAL binlog_row_value_options=''")
	}
	if info.Flavor == config.MySQL && !info.HasGTIDs() {
		host(errs.Unsupported, true, "gtid_mode is not ON: positions are a file and an offset, which name another place on another server, so a failover to a replica needs a new snapshot; "+
			"to have positions that survive it, enable gtid_mode and enforce_gtid_consistency")
	}
	return ps
}

package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
)

// Info is what a server is. Settings that it does not have are empty.
type Info struct {
	Flavor     config.Flavor
	Version    string // as the server says it: "9.7.4", "11.8.9-MariaDB-1"
	Major      int
	Minor      int
	Patch      int
	ServerUUID string // MySQL only
	ServerID   uint32

	LogBin          bool
	BinlogFormat    string // ROW, MIXED, STATEMENT
	RowImage        string // FULL, MINIMAL, NOBLOB
	RowMetadata     string // FULL, MINIMAL
	RowValueOptions string // PARTIAL_JSON or empty
	Checksum        string // CRC32, NONE
	GTIDMode        string // ON, ON_PERMISSIVE, OFF_PERMISSIVE, OFF; MariaDB: always ON

	LowerCaseNames int    // lower_case_table_names
	TimeZone       string // IANA name or offset: "Asia/Seoul", "+09:00", "UTC"
	Charset        string // character_set_server
	Collation      string // collation_server

	// Settings holds the variables that Describe asked for, as the server spells them.
	Settings map[string]string
}

// described lists the variables of Describe. A server answers for those it knows.
var described = [...]string{
	"version", "server_uuid", "server_id", "log_bin", "binlog_format", "binlog_row_image", "binlog_row_metadata", "binlog_row_value_options", "binlog_checksum",
	"gtid_mode", "enforce_gtid_consistency", "gtid_strict_mode", "lower_case_table_names", "time_zone", "system_time_zone", "character_set_server", "collation_server",
	"log_replica_updates", "log_slave_updates", "binlog_expire_logs_seconds", "expire_logs_days", "binlog_transaction_compression", "log_bin_compress",
	"max_allowed_packet", "read_only", "binlog_legacy_event_pos",
}

// Describe asks the server what it is.
func Describe(ctx context.Context, c *Conn) (Info, error) {
	res, err := c.Query(ctx, "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('"+strings.Join(described[:], "','")+"')")
	if err != nil {
		return Info{}, err
	}
	s := make(map[string]string, len(res.Rows))
	for _, row := range res.Rows {
		if len(row) == 2 {
			s[strings.ToLower(row[0].Text)] = row[1].Text
		}
	}
	info := Info{
		Flavor: c.Flavor(), Version: cmp.Or(s["version"], c.Version()), ServerUUID: s["server_uuid"], LogBin: isOn(s["log_bin"]),
		BinlogFormat: strings.ToUpper(s["binlog_format"]), RowImage: strings.ToUpper(s["binlog_row_image"]), RowMetadata: strings.ToUpper(s["binlog_row_metadata"]),
		RowValueOptions: strings.ToUpper(s["binlog_row_value_options"]), Checksum: strings.ToUpper(s["binlog_checksum"]), GTIDMode: strings.ToUpper(s["gtid_mode"]),
		Charset: s["character_set_server"], Collation: s["collation_server"], Settings: s,
	}
	if info.Flavor == config.MariaDB {
		info.ServerUUID, info.GTIDMode = "", "ON"
	}
	n := versionNumbers(info.Version)
	info.Major, info.Minor, info.Patch = n[0], n[1], n[2]
	id, _ := strconv.ParseUint(s["server_id"], 10, 32)
	info.ServerID = uint32(id)
	info.LowerCaseNames, _ = strconv.Atoi(s["lower_case_table_names"])
	info.TimeZone, err = timeZone(ctx, c, s)
	return info, err
}

func isOn(v string) bool { return v == "1" || strings.EqualFold(v, "ON") }

// versionNumbers reads the numbers at the start of a version: "11.8.9-MariaDB".
func versionNumbers(v string) (n [3]int) {
	for i := range n {
		end := 0
		for end < len(v) && v[end] >= '0' && v[end] <= '9' {
			end++
		}
		n[i], _ = strconv.Atoi(v[:end])
		if end == len(v) || v[end] != '.' {
			return n
		}
		v = v[end+1:]
	}
	return n
}

// timeZone returns the server's zone. SYSTEM names no zone that others know ("CET", "KST"), so what it is now, as an offset, stands for it.
func timeZone(ctx context.Context, c *Conn, s map[string]string) (string, error) {
	if z := s["time_zone"]; z != "" && !strings.EqualFold(z, "SYSTEM") {
		return z, nil
	}
	if z := s["system_time_zone"]; z == "UTC" || z == "GMT" {
		return "UTC", nil
	}
	res, err := c.Query(ctx, "SELECT TIMESTAMPDIFF(MINUTE, UTC_TIMESTAMP(), CONVERT_TZ(UTC_TIMESTAMP(), '+00:00', 'SYSTEM'))")
	if err != nil {
		return "", err
	}
	minutes := 0
	if len(res.Rows) == 1 {
		minutes, _ = strconv.Atoi(res.Rows[0][0].Text)
	}
	sign := '+'
	if minutes < 0 {
		sign, minutes = '-', -minutes
	}
	return fmt.Sprintf("%c%02d:%02d", sign, minutes/60, minutes%60), nil
}

// AtLeast compares the version with major.minor.
func (i Info) AtLeast(major, minor int) bool {
	return i.Major > major || i.Major == major && i.Minor >= minor
}

// Number is the version as versioned comments spell it: 80036 for 8.0.36, 110809 for 11.8.9.
func (i Info) Number() int { return i.Major*10000 + i.Minor*100 + i.Patch }

// HasGTIDs says whether positions of this server have GTID sets.
func (i Info) HasGTIDs() bool { return i.GTIDMode == "ON" }

// Head returns where the server's log ends. What is before it is written to the log, which is not yet to say that SELECT shows it: a transaction
// becomes visible a moment after it is logged. Unsupported: the server keeps no log.
func Head(ctx context.Context, c *Conn) (*rowv1.Position, error) {
	res, err := logStatus(ctx, c)
	if err != nil {
		return nil, err
	}
	if len(res.Rows) == 0 {
		return nil, errs.E(errs.Unsupported, "the server at %s keeps no binary log: start it with log_bin=ON, binlog_format=ROW and a server_id, and restart it", c.cfg.Addr)
	}
	p := &rowv1.Position{File: res.Get(0, "File")}
	if p.Pos, err = strconv.ParseUint(res.Get(0, "Position"), 10, 64); err != nil {
		return nil, errs.E(errs.Corrupt, "the server at %s gives its log position as %q: %w", c.cfg.Addr, res.Get(0, "Position"), err)
	}
	if c.Flavor() == config.MariaDB {
		p.Gtids, err = c.variable(ctx, "@@GLOBAL.gtid_binlog_pos")
		return p, err
	}
	more, err := c.Query(ctx, "SELECT @@GLOBAL.server_uuid AS uuid, @@GLOBAL.gtid_mode AS mode")
	if err != nil {
		return nil, err
	}
	p.ServerUuid = more.Get(0, "uuid")
	// In the other modes transactions without a GTID may come, of which the set knows nothing.
	if strings.EqualFold(more.Get(0, "mode"), "ON") {
		p.Gtids = tidyGTIDs(res.Get(0, "Executed_Gtid_Set"))
	}
	return p, nil
}

// logStatus runs the statement under the name this version knows: 8.4 dropped the old one, and the new one came with 8.2; MariaDB has its own since 10.5.
func logStatus(ctx context.Context, c *Conn) (*Result, error) {
	first, second := "SHOW BINARY LOG STATUS", "SHOW MASTER STATUS"
	if c.Flavor() == config.MariaDB {
		first, second = second, "SHOW BINLOG STATUS"
	}
	res, err := c.Query(ctx, first)
	var server *ServerError
	if errors.As(err, &server) && server.Code == 1064 {
		res, err = c.Query(ctx, second)
	}
	if errs.KindOf(err) == errs.Denied {
		return nil, errs.E(errs.Denied, "%w: %s", err, grantReplication(c))
	}
	return res, err
}

// Executed returns the GTIDs whose transactions SELECT shows (MySQL: a GTID enters the set after the engine's commit); on MariaDB the last ones logged.
func Executed(ctx context.Context, c *Conn) (string, error) {
	if c.Flavor() == config.MariaDB {
		return c.variable(ctx, "@@GLOBAL.gtid_binlog_pos")
	}
	return c.variable(ctx, "@@GLOBAL.gtid_executed")
}

// Purged returns the GTIDs that are no longer in the log. MariaDB does not say; there BinaryLogs and the answer to a dump request tell.
func Purged(ctx context.Context, c *Conn) (string, error) {
	if c.Flavor() == config.MariaDB {
		return "", nil
	}
	return c.variable(ctx, "@@GLOBAL.gtid_purged")
}

// BinaryLog is one file of the log.
type BinaryLog struct {
	Name string
	Size uint64
}

// BinaryLogs lists the files of the log, oldest first.
func BinaryLogs(ctx context.Context, c *Conn) ([]BinaryLog, error) {
	res, err := c.Query(ctx, "SHOW BINARY LOGS")
	if errs.KindOf(err) == errs.Denied {
		return nil, errs.E(errs.Denied, "%w: %s", err, grantReplication(c))
	}
	if err != nil {
		return nil, err
	}
	logs := make([]BinaryLog, len(res.Rows))
	for i := range res.Rows {
		size, _ := strconv.ParseUint(res.Get(i, "File_size"), 10, 64)
		logs[i] = BinaryLog{res.Get(i, "Log_name"), size}
	}
	return logs, nil
}

func (c *Conn) variable(ctx context.Context, name string) (string, error) {
	res, err := c.Query(ctx, "SELECT "+name)
	if err != nil || len(res.Rows) != 1 {
		return "", err
	}
	return tidyGTIDs(res.Rows[0][0].Text), nil
}

// tidyGTIDs drops the line breaks between the servers of a printed set.
func tidyGTIDs(s string) string { return strings.ReplaceAll(s, "\n", "") }

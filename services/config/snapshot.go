package config

import (
	"net"
	"strconv"
	"strings"
	"time"
)

// Snapshot holds the snapshot options.
type Snapshot struct {
	Mode            string            // snapshot.mode: initial, initial_only, no_data, always, when_needed, recovery, never; configuration_based is one of these
	LockingMode     string            // snapshot.locking.mode: minimal, extended, none, minimal_percona, minimal_percona_no_table_locks
	Isolation       string            // snapshot.isolation.mode: repeatable_read, read_committed, read_uncommitted, serializable
	IncludeTables   []string          // snapshot.include.collection.list
	SelectOverrides map[string]string // snapshot.select.statement.overrides and its members
	LockTimeout     time.Duration     // snapshot.lock.timeout.ms
	Delay           time.Duration     // snapshot.delay.ms
	FetchSize       int               // snapshot.fetch.size
	OrderByRows     string            // snapshot.tables.order.by.row.count: ascending, descending; empty: neither

	MaxThreads       int            // snapshot.max.threads
	Multiplier       int            // snapshot.max.threads.multiplier
	TableMultipliers map[string]int // and its members, by database.table
	WholeTables      bool           // legacy.snapshot.max.threads: no table is read by several connections

	LockFree  bool // rowmesh.snapshot.lock.free, where nothing asks for one consistent cut
	ChunkRows int  // rowmesh.snapshot.chunk.rows; 0: by bytes

	Host              string        // rowmesh.snapshot.host: host:port of the replica that is read
	RowsPerSecond     uint64        // rowmesh.snapshot.rows.per.second
	BytesPerSecond    uint64        // rowmesh.snapshot.bytes.per.second
	MaxThreadsRunning uint64        // rowmesh.snapshot.max.threads.running
	MaxReplicaLag     time.Duration // rowmesh.snapshot.max.replica.lag.ms
	MaxHistoryLength  uint64        // rowmesh.snapshot.max.history.length
}

func (p *parser) snapshot() Snapshot {
	s := Snapshot{
		Mode:          p.snapshotMode(),
		LockingMode:   p.word("snapshot.locking.mode"),
		Isolation:     p.word(isolationMode),
		IncludeTables: p.patterns("snapshot.include.collection.list"),
		LockTimeout:   p.millis("snapshot.lock.timeout.ms"),
		Delay:         p.millis("snapshot.delay.ms"),
		FetchSize:     int(p.integer("snapshot.fetch.size")),
		MaxThreads:    int(p.integer("snapshot.max.threads")),
		Multiplier:    int(p.integer(multiplier)),
		WholeTables:   p.boolean("legacy.snapshot.max.threads") || p.boolean("internal.legacy.snapshot.max.threads"),

		LockFree:  p.lockFree(),
		ChunkRows: int(p.integer("rowmesh.snapshot.chunk.rows")),

		Host:              withPort(trim(p.in["rowmesh.snapshot.host"])),
		RowsPerSecond:     uint64(p.integer("rowmesh.snapshot.rows.per.second")),
		BytesPerSecond:    uint64(p.integer("rowmesh.snapshot.bytes.per.second")),
		MaxThreadsRunning: uint64(p.integer("rowmesh.snapshot.max.threads.running")),
		MaxReplicaLag:     p.millis("rowmesh.snapshot.max.replica.lag.ms"),
		MaxHistoryLength:  uint64(p.integer("rowmesh.snapshot.max.history.length")),
	}
	if order := p.word("snapshot.tables.order.by.row.count"); order != "disabled" {
		s.OrderByRows = order
	}
	switch s.Isolation {
	case "exclusive": // no other may write
		s.Isolation, s.LockingMode = "repeatable_read", "extended"
	case "snapshot":
		s.Isolation = "repeatable_read"
	}
	s.SelectOverrides = p.selectOverrides()
	for _, name := range p.keys() {
		if table, ok := strings.CutPrefix(name, multiplier+"."); ok {
			n, _ := strconv.Atoi(trim(p.in[name])) // checked before
			if s.TableMultipliers == nil {
				s.TableMultipliers = map[string]int{}
			}
			s.TableMultipliers[table] = n
		}
	}
	return s
}

// lockFree says whether tables are read in chunks while the log is streamed. Options that only one consistent cut fulfils keep it.
func (p *parser) lockFree() bool {
	if p.word("rowmesh.snapshot.lock.free") != "on" {
		return false
	}
	for _, name := range []string{"snapshot.locking.mode", isolationMode, "rowmesh.snapshot.host"} {
		if trim(p.in[name]) != "" {
			return false
		}
	}
	return true
}

const (
	isolationMode = "snapshot.isolation.mode"
	multiplier    = "snapshot.max.threads.multiplier"
	overrides     = "snapshot.select.statement.overrides"
	basedOn       = "snapshot.mode.configuration.based."
)

// snapshotMode returns the mode, and for configuration_based the one that does what is configured.
func (p *parser) snapshotMode() string {
	mode := p.word("snapshot.mode")
	if mode != "configuration_based" {
		return mode
	}
	data, schema, stream := p.boolean(basedOn+"snapshot.data"), p.boolean(basedOn+"snapshot.schema"), p.boolean(basedOn+"start.stream")
	switch {
	case data && !stream:
		return "initial_only"
	case data && p.boolean(basedOn+"snapshot.on.data.error"):
		return "when_needed"
	case data:
		return "initial"
	case schema:
		return "no_data"
	}
	return "never"
}

// selectOverrides returns the statements of the tables that are named. One without its statement asks for nothing.
func (p *parser) selectOverrides() map[string]string {
	out := map[string]string{}
	for _, table := range withoutEmpty(p.in[overrides]) {
		if statement := p.in[overrides+"."+table]; trim(statement) != "" {
			out[table] = statement
			continue
		}
		p.warn(overrides, overrides+" names "+table+", but "+overrides+"."+table+" is not set: the whole table is read")
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// checkSnapshot looks at snapshot options that are valid in Debezium and have no equal here, and at our own.
func (p *parser) checkSnapshot() {
	switch p.word("snapshot.mode") {
	case "custom":
		p.problem("snapshot.mode", "custom is not supported: set initial, initial_only, no_data, always or when_needed")
	case "configuration_based":
		if !p.boolean(basedOn+"snapshot.data") && !p.boolean(basedOn+"start.stream") {
			p.problem("snapshot.mode", "configuration_based with neither "+basedOn+"snapshot.data nor "+basedOn+"start.stream does nothing: set one of them to true")
		}
	}
	if p.word("snapshot.locking.mode") == "custom" {
		p.problem("snapshot.locking.mode", "custom is not supported: set minimal, extended or none")
	}
	if p.word("snapshot.query.mode") == "custom" {
		p.problem("snapshot.query.mode", "custom is not supported: set select_all, and snapshot.select.statement.overrides for tables of which other rows are wanted")
	}
	for _, name := range p.keys() {
		table, ok := strings.CutPrefix(name, multiplier+".")
		if n, err := strconv.Atoi(trim(p.in[name])); ok && (err != nil || n < 1) {
			p.problem(name, p.in[name]+" is no number of ranges for table "+table+"; give one from 1 on")
		}
	}
	if host := trim(p.in["rowmesh.snapshot.host"]); host != "" {
		if name, port, err := net.SplitHostPort(withPort(host)); err != nil || name == "" || port == "" || strings.ContainsAny(host, " /@") {
			p.problem("rowmesh.snapshot.host", host+" is no host:port of a replica")
		}
	}
}

// withPort adds the port that servers have unless they are told otherwise.
func withPort(host string) string {
	if _, _, err := net.SplitHostPort(host); err == nil || host == "" {
		return host
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), "3306")
}

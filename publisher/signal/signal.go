package signal

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/rowmesh/rowmesh/services/errs"
)

// Channel is where a signal came from.
type Channel string

// Channels; the first three are what signal.enabled.channels names.
const (
	Source Channel = "source" // rows of signal.data.collection
	Kafka  Channel = "kafka"  // records of signal.kafka.topic
	File   Channel = "file"   // lines of signal.file
	API    Channel = "api"    // REST, gRPC and the command line
)

// Signal is a request as a channel delivers it.
type Signal struct {
	ID, Type string
	// Data is a JSON object; empty is {}.
	Data    string
	Channel Channel
	// Next is the offset behind the signal's record in the signal topic; 0 for other channels.
	Next int64
}

// The types of signals.
const (
	executeSnapshot   = "execute-snapshot"
	stopSnapshot      = "stop-snapshot"
	pauseSnapshot     = "pause-snapshot"
	resumeSnapshot    = "resume-snapshot"
	throttleSnapshot  = "throttle-snapshot" // rowmesh's own
	logMessage        = "log"
	schemaChanges     = "schema-changes"
	setBinlogPosition = "set-binlog-position"
	windowOpen        = "snapshot-window-open"
	windowClose       = "snapshot-window-close"
)

// Command is what a signal asks for: one member is set, or none where there is nothing to do.
type Command struct {
	ID       string
	Execute  *Execute
	Control  *Control
	Log      string
	Schema   *SchemaChanges
	Position *Position
}

// Execute asks for a snapshot.
type Execute struct {
	// Blocking: the stream waits until it is done.
	Blocking bool
	// Tables are names "database.table" or regular expressions on them, Java's.
	Tables     []string
	Conditions []Condition
	// SurrogateKey is the column whose order cuts the tables into chunks, in place of their keys.
	SurrogateKey string
	Limits
}

// Limits hold a snapshot back; 0: no limit. ChunkRows is no limit: 0 leaves it to the connector's options.
type Limits struct {
	ChunkRows                     uint32
	RowsPerSecond, BytesPerSecond uint64
}

// Condition is which rows of the tables that Table matches are wanted: an expression, or the whole SELECT of a blocking snapshot.
type Condition struct{ Table, Filter string }

// Action is what Control does.
type Action string

// Actions.
const (
	Stop     Action = "stop"
	Pause    Action = "pause"
	Resume   Action = "resume"
	Throttle Action = "throttle"
)

// Control changes snapshots that run.
type Control struct {
	Action Action
	// Snapshot is the id of one snapshot; empty: all.
	Snapshot string
	// Tables are those to stop, as in Execute; empty: all.
	Tables []string
	Limits
}

// Position is where the connector is to go on: in a file, or behind GTIDs.
type Position struct {
	File  string
	Pos   uint64
	Gtids string
}

// data are the members of all types.
type data struct {
	Type        *string           `json:"type"`
	Collections []json.RawMessage `json:"data-collections"`
	Conditions  []struct {
		Collection *string `json:"data-collection"`
		Filter     *string `json:"filter"`
	} `json:"additional-conditions"`
	Condition    *string `json:"additional-condition"`
	SurrogateKey string  `json:"surrogate-key"`
	Message      string  `json:"message"`
	Snapshot     string  `json:"snapshot"`

	ChunkRows      uint32 `json:"chunk-rows"`
	RowsPerSecond  uint64 `json:"rows-per-second"`
	BytesPerSecond uint64 `json:"bytes-per-second"`

	File *string `json:"binlog_filename"`
	Pos  *int64  `json:"binlog_position"`
	Gtid *string `json:"gtid_set"`
}

// maxData bounds a signal's data: a list of some thousand tables. What asks for more is no request of a person's.
const maxData = 256 << 10

// Parse understands a signal. An error is of kind Invalid, names the signal, and means that nothing is done.
func Parse(s Signal) (Command, error) {
	c := Command{ID: s.ID}
	bad := func(format string, args ...any) (Command, error) {
		return Command{}, errs.E(errs.Invalid, "signal %q of type %s: %w", s.ID, s.Type, fmt.Errorf(format, args...))
	}
	switch s.Type {
	case executeSnapshot, stopSnapshot, pauseSnapshot, resumeSnapshot, throttleSnapshot, logMessage, schemaChanges, setBinlogPosition:
	case windowOpen, windowClose: // what we or Debezium have written ourselves
		return c, nil
	default:
		return Command{}, errs.E(errs.Invalid, "signal %q has been received but the type %q is not recognized", s.ID, s.Type)
	}
	if len(s.Data) > maxData {
		return bad("its data are %d bytes, more than %d", len(s.Data), maxData)
	}
	var d data
	if text := strings.TrimSpace(s.Data); text != "" {
		if err := json.Unmarshal([]byte(text), &d); err != nil {
			return bad("its data %.200q cannot be parsed: %w", s.Data, err)
		}
	}
	var err error
	switch s.Type {
	case executeSnapshot:
		c.Execute, err = d.execute()
		if err == nil && s.ID == "" {
			err = fmt.Errorf("it has no id, by which the snapshot could be named")
		}
	case stopSnapshot, pauseSnapshot, resumeSnapshot, throttleSnapshot:
		c.Control, err = d.control(s.Type)
	case logMessage:
		if c.Log = d.Message; c.Log == "" {
			err = fmt.Errorf("the requested field 'message' is missing from data")
		}
	case schemaChanges:
		c.Schema, err = parseChanges([]byte(s.Data))
	case setBinlogPosition:
		c.Position, err = d.position()
	}
	if err != nil {
		return bad("%w", err)
	}
	return c, nil
}

// incremental says whether the type is incremental, which is the default, or blocking.
func (d *data) incremental() (bool, error) {
	if d.Type == nil {
		return true, nil
	}
	switch strings.ToUpper(*d.Type) {
	case "INCREMENTAL":
		return true, nil
	case "BLOCKING":
		return false, nil
	}
	return false, fmt.Errorf("an unexpected snapshot type %q; use incremental or blocking", *d.Type)
}

// collections returns the tables that a signal names.
func (d *data) collections() ([]string, error) {
	var out []string
	for _, raw := range d.Collections {
		var name string
		if err := json.Unmarshal(raw, &name); err != nil {
			return nil, fmt.Errorf("the requested field 'data-collections' contains a non-string data collection: %.100s", raw)
		}
		if name = strings.TrimSpace(name); name == "" {
			return nil, fmt.Errorf("the requested field 'data-collections' contains an empty name")
		}
		if _, err := pattern(name); err != nil {
			return nil, fmt.Errorf("data collection %q is no regular expression: %w", name, err)
		}
		out = append(out, name)
	}
	return out, nil
}

func (d *data) limits() Limits { return Limits{d.ChunkRows, d.RowsPerSecond, d.BytesPerSecond} }

func (d *data) execute() (*Execute, error) {
	incremental, err := d.incremental()
	if err != nil {
		return nil, err
	}
	e := &Execute{Blocking: !incremental, SurrogateKey: strings.TrimSpace(d.SurrogateKey), Limits: d.limits()}
	if e.Tables, err = d.collections(); err != nil {
		return nil, err
	}
	if len(e.Tables) == 0 {
		return nil, fmt.Errorf("the requested field 'data-collections' is missing from data or is empty")
	}
	if d.Condition != nil {
		return nil, fmt.Errorf("additional-condition is not read any more; give additional-conditions, a list of data-collection and filter")
	}
	for _, c := range d.Conditions {
		if c.Collection == nil || c.Filter == nil {
			return nil, fmt.Errorf("an element of additional-conditions lacks data-collection or filter")
		}
		if _, err := pattern(*c.Collection); err != nil {
			return nil, fmt.Errorf("data-collection %q of additional-conditions is no regular expression: %w", *c.Collection, err)
		}
		check := CheckExpression
		if e.Blocking {
			check = CheckSelect
		}
		filter := strings.TrimSpace(*c.Filter)
		if filter == "" {
			continue
		}
		if err := check(filter); err != nil {
			return nil, fmt.Errorf("filter %.200q of %s: %w", filter, *c.Collection, err)
		}
		e.Conditions = append(e.Conditions, Condition{Table: *c.Collection, Filter: filter})
	}
	if e.Blocking && e.SurrogateKey != "" {
		return nil, fmt.Errorf("surrogate-key is for incremental snapshots: a blocking one reads whole tables")
	}
	return e, nil
}

func (d *data) control(kind string) (*Control, error) {
	if incremental, err := d.incremental(); err != nil || !incremental {
		return nil, fmt.Errorf("only incremental snapshots can be stopped, paused and resumed; a blocking one ends by itself")
	}
	c := &Control{Snapshot: d.Snapshot, Limits: d.limits()}
	switch kind {
	case stopSnapshot:
		c.Action = Stop
	case pauseSnapshot:
		c.Action = Pause
	case resumeSnapshot:
		c.Action = Resume
	case throttleSnapshot:
		c.Action = Throttle
	}
	var err error
	c.Tables, err = d.collections()
	return c, err
}

var (
	binlogName = regexp.MustCompile(`^[a-zA-Z0-9_-]+\.\d{6}$`)
	mysqlGtids = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}(:[a-z_][a-z0-9_]{0,31})?(:\d+(-\d+)?)+(,\s*[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}(:[a-z_][a-z0-9_]{0,31})?(:\d+(-\d+)?)+)*$`)
	mariaGtids = regexp.MustCompile(`^\d+-\d+-\d+(,\s*\d+-\d+-\d+)*$`)
)

func (d *data) position() (*Position, error) {
	file, gtid := "", ""
	if d.File != nil {
		file = *d.File
	}
	if d.Gtid != nil {
		gtid = *d.Gtid
	}
	has := file != "" || d.Pos != nil
	switch {
	case has && gtid != "":
		return nil, fmt.Errorf("it may hold binlog_filename and binlog_position or gtid_set, not both")
	case !has && gtid == "":
		return nil, fmt.Errorf("it must hold binlog_filename and binlog_position, or gtid_set")
	case gtid != "":
		if !mysqlGtids.MatchString(gtid) && !mariaGtids.MatchString(gtid) {
			return nil, fmt.Errorf("gtid_set %.200q is no set of GTIDs", gtid)
		}
		return &Position{Gtids: gtid}, nil
	case file == "" || d.Pos == nil:
		return nil, fmt.Errorf("binlog_filename and binlog_position must be given together")
	case *d.Pos < 4: // the first event of a file stands behind four bytes that name its format
		return nil, fmt.Errorf("binlog_position %d is in front of the file's first event, which is at 4", *d.Pos)
	case !binlogName.MatchString(file):
		return nil, fmt.Errorf("binlog_filename %.100q is no name of a log file, such as binlog.000012", file)
	}
	return &Position{File: file, Pos: uint64(*d.Pos)}, nil
}

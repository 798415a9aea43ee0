package deadletter

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/errs"
)

// Names of headers.
const (
	topicHeader     = "__connect.errors.topic"
	connectorHeader = "__connect.errors.connector.name"
	taskHeader      = "__connect.errors.task.id"
	stageHeader     = "__connect.errors.stage"
	classHeader     = "__connect.errors.class.name"
	exceptionHeader = "__connect.errors.exception.class.name"
	messageHeader   = "__connect.errors.exception.message"
	stackHeader     = "__connect.errors.exception.stacktrace"
	positionHeader  = "__rowmesh.errors.source.position"
	gtidHeader      = "__rowmesh.errors.source.gtid"
	rowHeader       = "__rowmesh.errors.row"
	partHeader      = "__rowmesh.errors.part"
	ofHeader        = "__rowmesh.replay.of"
	outcomeHeader   = "__rowmesh.replay.outcome"
)

const (
	// MaxBytes is what a record of the queue may have: Kafka's default for a topic, less room for the record's own framing.
	MaxBytes = 1<<20 - 1<<10
	// maxText bounds a message; errors of converters and servers may quote whole values.
	maxText = 4 << 10
	// maxParts bounds the records of one letter: 64 MiB of a row.
	maxParts = 64
	// minPart is the least that is worth a record of its own.
	minPart = 256
)

// Letter is a record that could not be sent.
type Letter struct {
	Connector string
	Task      uint32
	// Topic is where the record would have gone, as far as it was known.
	Topic string
	// Stage is Kafka Connect's name of what failed, Class the class of the transform, Exception that of the error, Message its text.
	Stage, Class, Exception, Message string
	// Position is file:position and row of the log event, GTID the transaction's if it has one.
	Position, GTID string
	// Key and Value are the record's, nil where they are null, were not made, or do not fit.
	Key, Value []byte
	// Row is the row; nil where there is none, as for events that tell of statements, or where it is too large.
	Row *rowv1.FailedRow

	// What a reader adds: where the letter is, when it was written, and what became of it; empty if nothing did.
	Partition int32
	Offset    int64
	Time      time.Time
	Outcome   string
}

// Header is a header of a record.
type Header struct {
	Name  string
	Value []byte
}

// Record is a record of the queue.
type Record struct {
	Key, Value []byte
	Headers    []Header
}

// size is what a record costs of what a topic takes; 16 bytes are more than the framing of a header.
func (r *Record) size() int {
	n := len(r.Key) + len(r.Value) + 64
	for _, h := range r.Headers {
		n += len(h.Name) + len(h.Value) + 16
	}
	return n
}

// Records returns the letter as records of at most limit bytes. What does not fit is left out: first the value, of which the row says the same, then
// the key, then parts of the texts.
func (l *Letter) Records(limit int) ([]Record, error) {
	first := Record{Key: l.Key, Value: l.Value, Headers: l.headers(maxText)}
	var row []byte
	if l.Row != nil {
		var err error
		if row, err = proto.Marshal(l.Row); err != nil {
			return nil, errs.E(errs.Internal, "dead letter: %w", err)
		}
	}
	if whole := first.size() + len(rowHeader) + len(row) + 32; whole > limit {
		if len(l.Value) > limit/4 {
			first.Value = nil
		}
		if len(l.Key) > limit/4 {
			first.Key = nil
		}
		if first.size()+minPart > limit {
			first.Value, first.Headers = nil, l.headers(200)
		}
	}
	if first.size() > limit {
		return nil, errs.E(errs.Invalid, "a dead letter needs %d bytes, and no record may have more than %d: raise producer.override.max.request.size", first.size(), limit)
	}
	if row == nil {
		return []Record{first}, nil
	}
	room := limit - first.size() - len(rowHeader) - len(partHeader) - 48
	if len(row) <= room {
		first.Headers = append(first.Headers, Header{rowHeader, row})
		return []Record{first}, nil
	}
	if parts := (len(row) + max(room, 1) - 1) / max(room, 1); room < minPart || parts > maxParts {
		return []Record{first}, nil
	}
	return l.parts(first, row, room), nil
}

// parts spreads a row over records; each has all headers, so that each says what it is about.
func (l *Letter) parts(first Record, row []byte, room int) []Record {
	n := (len(row) + room - 1) / room
	out := make([]Record, n)
	for i := range out {
		r := Record{Key: first.Key, Headers: append([]Header(nil), first.Headers...)}
		if i == 0 {
			r.Value = first.Value
		}
		piece := row[i*room : min((i+1)*room, len(row))]
		r.Headers = append(r.Headers, Header{partHeader, fmt.Appendf(nil, "%d/%d", i+1, n)}, Header{rowHeader, piece})
		out[i] = r
	}
	return out
}

// headers are those that say what failed, in Kafka Connect's order, with texts of at most limit bytes.
func (l *Letter) headers(limit int) []Header {
	text := l.Message
	if len(text) > limit {
		text = strings.ToValidUTF8(text[:limit], "") + "..."
	}
	stack := text
	if l.Exception != "" {
		stack = l.Exception + ": " + text
	}
	var out []Header
	for _, h := range []struct{ name, value string }{
		{topicHeader, l.Topic}, {connectorHeader, l.Connector}, {taskHeader, strconv.Itoa(int(l.Task))}, {stageHeader, l.Stage}, {classHeader, l.Class},
		{exceptionHeader, l.Exception}, {messageHeader, text}, {stackHeader, stack}, {positionHeader, l.Position}, {gtidHeader, l.GTID},
	} {
		if h.value != "" {
			out = append(out, Header{h.name, []byte(h.value)})
		}
	}
	return out
}

// Mark is the record that says what became of a letter.
func (l *Letter) Mark(outcome string) Record {
	return Record{Key: l.Key, Value: []byte{}, Headers: []Header{
		{ofHeader, fmt.Appendf(nil, "%d:%d", l.Partition, l.Offset)}, {outcomeHeader, []byte(outcome)}, {connectorHeader, []byte(l.Connector)}, {topicHeader, []byte(l.Topic)},
	}}
}

// found is a record of the queue as it is read.
type found struct {
	letter     Letter
	piece      []byte // of the row
	part, of   int    // 1/1: all of it
	mark       string // partition:offset of the letter that it is about; empty: it is a letter
	notALetter bool
}

// parse reads a record of the queue. What has no headers of a letter is none.
func parse(r Record) found {
	f := found{letter: Letter{Key: r.Key, Value: r.Value}, part: 1, of: 1}
	for _, h := range r.Headers {
		text := string(h.Value)
		switch h.Name {
		case topicHeader:
			f.letter.Topic = text
		case connectorHeader:
			f.letter.Connector = text
		case taskHeader:
			n, _ := strconv.ParseUint(text, 10, 32)
			f.letter.Task = uint32(n)
		case stageHeader:
			f.letter.Stage = text
		case classHeader:
			f.letter.Class = text
		case exceptionHeader:
			f.letter.Exception = text
		case messageHeader:
			f.letter.Message = text
		case positionHeader:
			f.letter.Position = text
		case gtidHeader:
			f.letter.GTID = text
		case rowHeader:
			f.piece = h.Value
		case partHeader:
			if _, err := fmt.Sscanf(text, "%d/%d", &f.part, &f.of); err != nil || f.part < 1 || f.part > f.of || f.of > maxParts {
				f.notALetter = true
			}
		case ofHeader:
			f.mark = text
		case outcomeHeader:
			f.letter.Outcome = text
		}
	}
	f.notALetter = f.notALetter || f.mark == "" && (f.letter.Connector == "" || f.letter.Stage == "")
	return f
}

package foreign

import (
	"fmt"
	"regexp"

	transformv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/transform/v1"
	"github.com/rowmesh/rowmesh/publisher/record"
	"github.com/rowmesh/rowmesh/services/errs"
)

// call is some records on their way through the server.
type call struct {
	c        *Client
	records  []*record.Record
	sent     []*transformv1.Record // nil where a record could not be encoded
	used     []map[uint32]bool     // the schemas of each
	ids      map[*record.Schema]uint32
	schemas  []*transformv1.Schema // by id-1
	bytes    int
	outcomes []Outcome
}

func (c *Client) newCall() *call { return &call{c: c, ids: map[*record.Schema]uint32{}} }

// fits reports whether one more record may be added.
func (cl *call) fits() bool {
	return len(cl.records) == 0 || len(cl.records) < cl.c.cfg.MaxRecords && cl.bytes < cl.c.cfg.MaxBytes
}

// add adds a record. One that cannot be sent has its outcome at once.
func (cl *call) add(r *record.Record) {
	used := map[uint32]bool{}
	sent, size, err := cl.encode(r, used)
	if err == nil && size > maxRecordBytes {
		err = errs.E(errs.Invalid, "the record has %d bytes, and a transform server gets at most %d", size, maxRecordBytes)
	}
	if err != nil {
		sent = nil
	} else {
		cl.bytes += size
	}
	cl.records, cl.sent, cl.used, cl.outcomes = append(cl.records, r), append(cl.sent, sent), append(cl.used, used), append(cl.outcomes, Outcome{Err: err})
}

// asked are the indexes of the records that the server has to see.
func (cl *call) asked() []int {
	var out []int
	for i, r := range cl.sent {
		if r != nil {
			out = append(out, i)
		}
	}
	return out
}

// part is a call of some of the records.
func (cl *call) part(of []int) *call {
	p := &call{c: cl.c, ids: cl.ids, schemas: cl.schemas, bytes: cl.bytes}
	for _, i := range of {
		p.records, p.sent, p.used, p.outcomes = append(p.records, cl.records[i]), append(p.sent, cl.sent[i]), append(p.used, cl.used[i]), append(p.outcomes, Outcome{})
	}
	return p
}

func (cl *call) request(asked []int) *transformv1.TransformRequest {
	cfg := &cl.c.cfg
	q := &transformv1.TransformRequest{Contract: Contract, Connector: cfg.Connector, Task: cfg.Task, Options: cfg.Options}
	told := map[uint32]bool{}
	for _, i := range asked {
		q.Records = append(q.Records, cl.sent[i])
		for id := range cl.used[i] {
			told[id] = true
		}
	}
	for _, s := range cl.schemas {
		if told[s.Id] {
			q.Schemas = append(q.Schemas, s)
		}
	}
	return q
}

// encode returns a record as it is sent, and the bytes of its data.
func (cl *call) encode(r *record.Record, used map[uint32]bool) (out *transformv1.Record, size int, err error) {
	out = &transformv1.Record{Topic: r.Topic, TimestampMs: r.Timestamp}
	if r.Partition != record.NoPartition {
		out.Partition = &r.Partition
	}
	if out.Key, err = cl.data(r.Key, used); err != nil {
		return nil, 0, err
	}
	if out.Value, err = cl.data(r.Value, used); err != nil {
		return nil, 0, err
	}
	size = len(out.Key.GetJson()) + len(out.Value.GetJson())
	for i := range r.Headers {
		h := &transformv1.Header{Name: r.Headers[i].Name}
		if h.Value, err = cl.data(r.Headers[i].Data, used); err != nil {
			return nil, 0, err
		}
		size += len(h.Name) + len(h.Value.GetJson())
		out.Headers = append(out.Headers, h)
	}
	return out, size, nil
}

func (cl *call) data(d record.Data, used map[uint32]bool) (*transformv1.Data, error) {
	if d.Missing() {
		return nil, nil
	}
	out := &transformv1.Data{}
	if d.Schema != nil {
		id, ok := cl.ids[d.Schema]
		if !ok {
			id = uint32(len(cl.schemas) + 1)
			cl.ids[d.Schema] = id
			cl.schemas = append(cl.schemas, &transformv1.Schema{Id: id, Json: cl.c.schemas.text(d.Schema)})
		}
		used[id] = true
		out.Schema = id
	}
	var err error
	// Nulls that read as a default are sent as the default, the others as null: so a null is a null on the other side.
	out.Json, err = (&record.JSON{NullDefault: !cl.c.cfg.RawNulls}).AppendPayload(nil, d.Schema, d.Value)
	return out, err
}

// take takes the answer for the records at asked. An error says that the answer breaks the contract as a whole.
func (cl *call) take(slab *record.Slab, asked []int, a *transformv1.TransformResponse) error {
	if len(a.Results) != len(asked) {
		return errs.E(errs.Invalid, "it answers %d records with %d results", len(asked), len(a.Results))
	}
	known := make(map[uint32]*record.Schema, len(cl.ids)+len(a.Schemas))
	for s, id := range cl.ids {
		known[id] = s
	}
	for _, s := range a.Schemas {
		if s.Id == 0 || known[s.Id] != nil {
			return errs.E(errs.Invalid, "it names a schema %d, which is taken", s.Id)
		}
		parsed, err := cl.c.schemas.parse(s.Json)
		if err != nil {
			return errs.E(errs.Invalid, "its schema %d: %w", s.Id, err)
		}
		known[s.Id] = parsed
	}
	d := decoder{slab, known}
	for i, at := range asked {
		switch o := a.Results[i].GetOutcome().(type) {
		case *transformv1.Result_Unchanged:
			cl.outcomes[at] = Outcome{Keep: true}
		case *transformv1.Result_Drop:
			cl.outcomes[at] = Outcome{}
		case *transformv1.Result_Failure:
			cl.outcomes[at] = Outcome{Err: errs.E(errs.Invalid, "%.1000s", orUnknown(o.Failure.GetMessage()))}
		case *transformv1.Result_Record:
			err := d.record(cl.records[at], o.Record)
			if err != nil {
				err = errs.E(errs.Invalid, "transform server %s: %w", cl.c.cfg.Address, err)
			}
			cl.outcomes[at] = Outcome{Keep: err == nil, Err: err}
		default:
			cl.outcomes[at] = Outcome{Err: errs.E(errs.Invalid, "transform server %s answers without an outcome", cl.c.cfg.Address)}
		}
	}
	return nil
}

func orUnknown(text string) string {
	if text == "" {
		return "the transform server does not say why"
	}
	return text
}

// decoder reads the records of one answer.
type decoder struct {
	slab    *record.Slab
	schemas map[uint32]*record.Schema
}

// legalTopic matches what Kafka takes for a topic's name.
var legalTopic = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

// record replaces r by what came back. After an error r is undefined.
func (d *decoder) record(r *record.Record, back *transformv1.Record) (err error) {
	if !legalTopic.MatchString(back.Topic) || back.Topic == "." || back.Topic == ".." {
		return fmt.Errorf("it sends a record to topic %.300q, which is no name of a topic", back.Topic)
	}
	r.Topic, r.Partition, r.Timestamp = back.Topic, record.NoPartition, back.TimestampMs
	if back.Partition != nil {
		if r.Partition = *back.Partition; r.Partition < 0 {
			return fmt.Errorf("it sends a record to partition %d", r.Partition)
		}
	}
	if !back.Key.GetSame() {
		if r.Key, err = d.data(back.Key); err != nil {
			return fmt.Errorf("its key: %w", err)
		}
	}
	if !back.Value.GetSame() {
		if r.Value, err = d.data(back.Value); err != nil {
			return fmt.Errorf("its value: %w", err)
		}
	}
	r.Headers = d.slab.Headers(len(back.Headers))
	for i, h := range back.Headers {
		r.Headers[i].Name = h.GetName()
		if h.GetValue().GetSame() {
			return fmt.Errorf("its header %.100q is the same as nothing", h.GetName())
		}
		if r.Headers[i].Data, err = d.data(h.GetValue()); err != nil {
			return fmt.Errorf("its header %.100q: %w", h.GetName(), err)
		}
	}
	return nil
}

func (d *decoder) data(in *transformv1.Data) (record.Data, error) {
	if in == nil {
		return record.Data{}, nil
	}
	var out record.Data
	if in.Schema != 0 {
		if out.Schema = d.schemas[in.Schema]; out.Schema == nil {
			return out, fmt.Errorf("there is no schema %d", in.Schema)
		}
	}
	v, err := record.DecodePayload(in.Json, out.Schema, d.slab)
	if err != nil {
		return out, err
	}
	if out.Schema != nil {
		if err := record.Check(out.Schema, v); err != nil {
			return out, err
		}
	}
	out.Value = record.KeepNulls(out.Schema, v)
	return out, nil
}

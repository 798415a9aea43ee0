package publisher

import (
	"context"
	"errors"

	"github.com/rowmesh/rowmesh/publisher/convert"
	"github.com/rowmesh/rowmesh/publisher/converter"
	"github.com/rowmesh/rowmesh/publisher/record"
	"github.com/rowmesh/rowmesh/publisher/transform"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
)

// stage is the second step of a lane whose connector has transforms, or converters other than those that the encoder writes the bytes of:
//
//	convert.Output ──decode by the schema──> record.Record ──transforms──> converters ──> convert.Output of its own
//
// The encoder writes payloads without schemas for it, with nulls and decimals as they are, and names the schemas by their address; each is parsed once.
// Records keep their order. One goroutine uses it, and what it returns is valid until the next call.
type stage struct {
	chain              *transform.Chain
	key, value, header record.Converter
	context            []record.Header

	shapes map[*convert.Shape]*shape
	topics map[string]*convert.Topic
	slab   record.Slab
	out    convert.Output
	heads  []convert.SpanHeader // of the records of out
	rec    record.Record
	shared []record.Header // what the event before shares with its tombstone
	items  []transform.Item
	// givesUp: what needs a server that does not answer is an error of the record, because errors.retry.timeout is over; away: one did not answer since the run began.
	givesUp, away bool
	// origins are the indexes, in what was taken, of what the records of out were made of.
	origins []int
}

// shape is a convert.Shape as schemas.
type shape struct {
	key, value *record.Schema
	// before and after are the indexes of the rows in the value, -1 if it is no envelope; kept are the columns whose nulls stay.
	before, after int
	kept          []int
}

// maxShapes bounds the shapes that are kept: the encoder forgets old versions of a table, the stage all at once. A schema of a wide table takes 50 KB.
const maxShapes = 4096

// Names of Kafka Connect's stages, as its dead letters have them.
const (
	stageTransformation  = "TRANSFORMATION"
	stageKeyConverter    = "KEY_CONVERTER"
	stageValueConverter  = "VALUE_CONVERTER"
	stageHeaderConverter = "HEADER_CONVERTER"
	stageProduce         = "KAFKA_PRODUCE"
)

// stageError is an error of one stage on one record.
type stageError struct {
	stage, class string
	err          error
}

func (e *stageError) Error() string { return e.err.Error() }

func (e *stageError) Unwrap() error { return e.err }

// staged reports whether a connector needs a second step.
func staged(cfg *config.Connector) bool {
	return transform.Configured(cfg.Raw) || other(cfg.KeyConverter, "json") || other(cfg.ValueConverter, "json") || other(cfg.HeaderConverter, "simple")
}

func other(c config.Converter, class string) bool { return c.Class != "" && c.Class != class }

// encoderConfig is the config of the encoder in front of a stage.
func encoderConfig(cfg config.Connector) *config.Connector {
	cfg.KeyConverter, cfg.ValueConverter = config.Converter{Class: "json"}, config.Converter{Class: "json"}
	return &cfg
}

// newStage makes the stage of one start, which done ends. Errors name the option.
func newStage(cfg *config.Connector, env transform.Env, done <-chan struct{}) (*stage, error) {
	s := &stage{shapes: map[*convert.Shape]*shape{}, topics: map[string]*convert.Topic{}}
	var err error
	if s.chain, err = transform.New(cfg.Raw, env); err != nil {
		return nil, err
	}
	for _, c := range []struct {
		role converter.Role
		of   config.Converter
		none string
		to   *record.Converter
	}{{converter.Key, cfg.KeyConverter, "json", &s.key}, {converter.Value, cfg.ValueConverter, "json", &s.value}, {converter.Header, cfg.HeaderConverter, "simple", &s.header}} {
		if c.of.Class == "" {
			c.of.Class = c.none
		}
		if *c.to, err = converter.New(c.role, c.of, done); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// contextHeaders takes over the headers that records share.
func (s *stage) contextHeaders(hs []convert.Header) {
	text := record.Of(record.String, false)
	for _, h := range hs {
		s.context = append(s.context, record.Header{Name: h.Key, Data: record.Data{Schema: text, Value: record.TextOf(h.Value)}})
	}
}

// close ends what the transforms hold.
func (s *stage) close() {
	if s != nil {
		_ = s.chain.Close() // of connections that nobody uses any more
	}
}

// run takes the records of o and returns what becomes of them. A record that fails goes to reject, whose error ends the run; one that nothing is wrong with, but
// that needs a server which does not answer, ends it at once.
func (s *stage) run(ctx context.Context, o *convert.Output, reject func(i int, e *stageError) error) (*convert.Output, error) {
	s.out.Reset()
	s.heads, s.origins = s.heads[:0], s.origins[:0]
	if cap(s.out.Arena) > maxArena {
		s.out.Arena = nil
	}
	s.shared, s.away = nil, false
	if s.chain.Batched() {
		return &s.out, s.together(ctx, o, reject)
	}
	for i := range o.Records {
		if !tombstoneOf(o, i) {
			s.slab.Reset()
			s.shared = nil
		}
		arena := len(s.out.Arena)
		if err := s.settle(arena, i, s.one(o, i), reject); err != nil {
			return nil, err
		}
	}
	return &s.out, nil
}

// together is run for transforms that take many records at once: all go through the chain, then each is converted.
func (s *stage) together(ctx context.Context, o *convert.Output, reject func(i int, e *stageError) error) error {
	s.slab.Reset()
	clear(s.items)
	s.items = s.items[:0]
	for i := range o.Records {
		s.items = append(s.items, transform.Item{Follows: tombstoneOf(o, i)})
		r := &s.items[i].Record
		if err := s.decode(o, i, r); err != nil {
			return err
		}
		r.SharesHeaders = tombstoneOf(o, i+1)
	}
	if err := s.chain.ApplyAll(ctx, &s.slab, s.items); err != nil {
		if !s.givesUp || errs.KindOf(err) != errs.Unavailable || ctx.Err() != nil {
			return err
		}
		for i := range s.items {
			s.items[i].Keep, s.items[i].Err = false, err
		}
	}
	for i := range o.Records {
		arena, it := len(s.out.Arena), &s.items[i]
		if err := s.settle(arena, i, s.finish(o, i, &it.Record, it.Keep, it.Err), reject); err != nil {
			return err
		}
	}
	return nil
}

// settle takes the outcome of the i-th record, before which the arena had so many bytes, and treats it if it failed.
func (s *stage) settle(arena, i int, err error, reject func(i int, e *stageError) error) error {
	if err == nil {
		return nil
	}
	s.out.Arena = s.out.Arena[:arena]
	var e *stageError
	if !errors.As(err, &e) {
		return err
	}
	if k := errs.KindOf(e.err); k == errs.Unavailable && s.givesUp {
		s.away = true
	} else if k == errs.Unavailable || k == errs.Denied {
		return e.err
	}
	return reject(i, e)
}

// tombstoneOf reports whether the i-th record is the tombstone of the one before it.
func tombstoneOf(o *convert.Output, i int) bool {
	if i < 1 || i >= len(o.Records) {
		return false
	}
	r, before := &o.Records[i], &o.Records[i-1]
	return r.Value.Len < 0 && before.Value.Len >= 0 && r.Group >= 0 && r.Group == before.Group && r.Row == before.Row
}

// one takes the i-th record.
func (s *stage) one(o *convert.Output, i int) error {
	r := &s.rec
	if err := s.decode(o, i, r); err != nil {
		return err
	}
	r.SharesHeaders = tombstoneOf(o, i+1)
	keep, err := s.chain.Apply(&s.slab, r)
	s.shared = r.Shared
	return s.finish(o, i, r, keep, err)
}

// finish converts what the transforms made of the i-th record.
func (s *stage) finish(o *convert.Output, i int, r *record.Record, keep bool, err error) error {
	in := &o.Records[i]
	if err != nil {
		class := ""
		var te *transform.Error
		if errors.As(err, &te) {
			class = te.Class
		}
		return &stageError{stageTransformation, class, err}
	}
	if !keep {
		return nil
	}
	out := convert.Record{Topic: in.Topic, Partition: r.Partition, Timestamp: r.Timestamp, ExtraValue: convert.Span{Len: -1}, Group: in.Group, Row: in.Row}
	if r.Topic != in.Topic.Name {
		out.Topic = s.topic(r.Topic)
	}
	if len(r.Headers) > 0 {
		from := len(s.heads)
		for _, h := range r.Headers {
			v, err := s.append(s.header, r, h.Data)
			if err != nil {
				return &stageError{stage: stageHeaderConverter, err: err}
			}
			s.heads = append(s.heads, convert.SpanHeader{Key: h.Name, Value: v})
		}
		out.Headers = s.heads[from:len(s.heads):len(s.heads)]
	}
	if out.Key, err = s.append(s.key, r, r.Key); err != nil {
		return &stageError{stage: stageKeyConverter, err: err}
	}
	if out.Value, err = s.append(s.value, r, r.Value); err != nil {
		return &stageError{stage: stageValueConverter, err: err}
	}
	if out.Key.Len >= 0 {
		out.Hash = convert.Murmur2(s.out.Bytes(out.Key))
	}
	s.out.Records, s.origins = append(s.out.Records, out), append(s.origins, i)
	return nil
}

// append converts data into the arena.
func (s *stage) append(c record.Converter, r *record.Record, d record.Data) (convert.Span, error) {
	start := len(s.out.Arena)
	arena, null, err := c.Append(s.out.Arena, r.Topic, r.Headers, d)
	if err != nil {
		return convert.Span{}, err
	}
	if s.out.Arena = arena; null {
		return convert.Span{Len: -1}, nil
	}
	return convert.Span{Off: start, Len: len(arena) - start}, nil
}

// topic returns a topic that a transform named. All that is known of it is its name: it is made as topics of data are.
func (s *stage) topic(name string) *convert.Topic {
	t := s.topics[name]
	if t == nil {
		t = &convert.Topic{Name: string([]byte(name)), Kind: convert.DataTopic}
		s.topics[t.Name] = t
	}
	return t
}

// decode reads the i-th record of o.
func (s *stage) decode(o *convert.Output, i int, r *record.Record) error {
	in := &o.Records[i]
	sh, err := s.shape(in.Shape)
	if err != nil {
		return err
	}
	*r = record.Record{Topic: in.Topic.Name, Partition: in.Partition, Timestamp: in.Timestamp}
	if in.Key.Len >= 0 {
		if r.Key, err = s.payload(o, in.Key, sh.key); err != nil {
			return err
		}
	}
	if in.Value.Len >= 0 {
		if r.Value, err = s.payload(o, in.Value, sh.value); err != nil {
			return err
		}
		sh.keepNulls(r.Value.Value.Struct())
	}
	n := 0
	if in.Context {
		n = len(s.context)
	}
	if in.Extra != convert.NoExtra {
		n++
	}
	r.Headers = s.slab.Headers(n + len(s.shared))[:0]
	if in.Extra != convert.NoExtra {
		r.Headers = append(r.Headers, record.Header{Name: extraHeaders[in.Extra]})
		if r.Headers[0].Data, err = s.otherKey(o, i, sh); err != nil {
			return err
		}
	}
	if in.Context {
		r.Headers = append(r.Headers, s.context...)
	}
	r.Headers = append(r.Headers, s.shared...)
	return nil
}

func (s *stage) payload(o *convert.Output, at convert.Span, schema *record.Schema) (record.Data, error) {
	v, err := record.DecodePayload(o.Bytes(at), schema, &s.slab)
	if err != nil {
		return record.Data{}, errs.E(errs.Internal, "read back what the encoder wrote: %w", err)
	}
	return record.Data{Schema: schema, Value: v}, nil
}

// otherKey returns the key that the header of a key change holds. It is the key of a record beside it: the delete, its tombstone and the create of one row come
// in this order, the first two with the header of the new key, the last with that of the old one.
func (s *stage) otherKey(o *convert.Output, i int, sh *shape) (record.Data, error) {
	in := &o.Records[i]
	want, step := convert.OldKey, 1
	if in.Extra == convert.OldKey {
		want, step = convert.NewKey, -1
	}
	for j := i + step; j >= 0 && j < len(o.Records); j += step {
		r := &o.Records[j]
		if r.Group != in.Group || r.Row != in.Row {
			break
		}
		if r.Extra == want {
			return s.payload(o, r.Key, sh.key)
		}
	}
	return record.Data{}, errs.E(errs.Internal, "a key change of topic %s has one record only", in.Topic.Name)
}

// shape returns the schemas of a shape.
func (s *stage) shape(c *convert.Shape) (*shape, error) {
	if sh := s.shapes[c]; sh != nil {
		return sh, nil
	}
	if c == nil {
		return nil, errs.E(errs.Internal, "a record has no schemas")
	}
	sh := &shape{before: -1, after: -1}
	var err error
	if c.Key != nil {
		if sh.key, err = record.ParseSchema(c.Key); err != nil {
			return nil, errs.E(errs.Internal, "read back the schema of a key: %w", err)
		}
	}
	if sh.value, err = record.ParseSchema(c.Value); err != nil {
		return nil, errs.E(errs.Internal, "read back the schema of a value: %w", err)
	}
	for i, kept := range c.KeptNulls {
		if kept {
			sh.before, sh.after = sh.value.Field("before"), sh.value.Field("after")
			sh.kept = append(sh.kept, i)
		}
	}
	if len(s.shapes) >= maxShapes {
		clear(s.shapes)
	}
	s.shapes[c] = sh
	return sh, nil
}

// keepNulls marks nulls that do not read as their column's default.
func (sh *shape) keepNulls(e *record.StructData) {
	if len(sh.kept) == 0 || e == nil {
		return
	}
	for _, part := range []int{sh.before, sh.after} {
		row := e.Values[part].Struct()
		if row == nil {
			continue
		}
		for _, i := range sh.kept {
			if row.Values[i].IsNull() {
				row.Values[i] = record.KeptNull
			}
		}
	}
}

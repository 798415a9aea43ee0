package capturetest

import (
	"context"
	"encoding/binary"
	"fmt"
	"regexp"
	"sync"

	"google.golang.org/protobuf/proto"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/capture"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/row"
)

// FakeSource is the source that a Fake has.
const FakeSource = "fake:3306"

// Fake is a capture.Service over a log that its user writes. Its tables have two columns: id INT and name VARCHAR. Positions are numbers of
// transactions; a batch holds one transaction or, where that is larger than max_batch_bytes, a piece of it.
type Fake struct {
	mu      sync.Mutex
	log     []transaction
	changed chan struct{} // closed and replaced when log grows
}

type transaction struct {
	database, table string
	ids             []int64
}

var _ capture.Service = (*Fake)(nil)

// NewFake returns a fake with an empty log.
func NewFake() *Fake { return &Fake{changed: make(chan struct{})} }

// Commit appends a transaction that inserts rows with these ids into a table.
func (f *Fake) Commit(database, table string, ids ...int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log = append(f.log, transaction{database, table, ids})
	close(f.changed)
	f.changed = make(chan struct{})
}

// at returns transaction i, or a channel that tells when to ask again.
func (f *Fake) at(i int) (*transaction, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i < len(f.log) {
		return &f.log[i], nil
	}
	return nil, f.changed
}

// Describe implements capture.Service.
func (f *Fake) Describe(_ context.Context, req *capturev1.DescribeSourceRequest) (*capturev1.DescribeSourceResponse, error) {
	if req.Source != FakeSource {
		return nil, errs.E(errs.NotFound, "source %s is not known", req.Source)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return &capturev1.DescribeSourceResponse{Source: FakeSource, Flavor: "mysql", Version: "fake", Position: fakePosition(len(f.log))}, nil
}

// Subscribe implements capture.Service.
func (f *Fake) Subscribe(ctx context.Context, open *capturev1.Open, out capture.Sender) error {
	if open.Source != FakeSource {
		return errs.E(errs.NotFound, "source %s is not known", open.Source)
	}
	wants, err := fakeFilter(open.Tables)
	if err != nil {
		return err
	}
	next, skip, err := f.start(open.Start)
	if err != nil {
		return err
	}
	err = out.Send(&capturev1.SubscribeResponse{Message: &capturev1.SubscribeResponse_Opened{Opened: &capturev1.Opened{
		Source: FakeSource, Flavor: "mysql", Version: "fake", Position: fakePosition(next), TimeZone: "UTC"}}})
	schemas := make(map[string]uint32)
	for ; err == nil; next, skip = next+1, 0 {
		var t *transaction
		for t == nil {
			var wait <-chan struct{}
			if t, wait = f.at(next); t != nil {
				break
			}
			select {
			case <-wait:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if !wants(t.database + "." + t.table) {
			err = out.Send(&capturev1.SubscribeResponse{Message: &capturev1.SubscribeResponse_Progress{Progress: &capturev1.Progress{Checkpoint: fakeCheckpoint(next+1, 0), CaughtUp: true}}})
			continue
		}
		err = sendTransaction(out, open, schemas, t, next, skip)
	}
	return err
}

// start finds the transaction to begin with and the rows of it to leave out.
func (f *Fake) start(s *capturev1.Start) (next, skip int, err error) {
	switch at := s.GetAt().(type) {
	case *capturev1.Start_Token:
		t := new(rowv1.ResumeToken)
		if err := proto.Unmarshal(at.Token, t); err != nil || t.Version != 1 {
			return 0, 0, errs.E(errs.Invalid, "start.token is not a resume token")
		}
		return int(t.Start.GetPos()), int(t.Row), nil
	case *capturev1.Start_Latest:
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(f.log), 0, nil
	case *capturev1.Start_Earliest:
		return 0, 0, nil
	}
	return 0, 0, errs.E(errs.Unsupported, "the fake starts from a token, earliest or latest")
}

// sendTransaction sends a transaction in pieces of max_batch_bytes.
func sendTransaction(out capture.Sender, open *capturev1.Open, schemas map[string]uint32, t *transaction, index, first int) error {
	id, known := schemas[t.table]
	if !known {
		id = uint32(len(schemas) + 1)
		schemas[t.table] = id
		if err := out.Send(&capturev1.SubscribeResponse{Message: &capturev1.SubscribeResponse_Schema{Schema: fakeTable(id, t)}}); err != nil {
			return err
		}
	}
	for first < len(t.ids) {
		var payload []byte
		n := 0
		for first+n < len(t.ids) && (n == 0 || len(payload) < int(open.MaxBatchBytes)) {
			payload = appendFakeRow(payload, t.ids[first+n])
			n++
		}
		end := first+n == len(t.ids)
		var flags byte
		if first == 0 {
			flags |= row.TxnBegins
		}
		c := fakeCheckpoint(index, first+n)
		if end {
			flags |= row.TxnEnds
			c = fakeCheckpoint(index+1, 0)
		}
		b := &rowv1.Batch{
			File: "fake.000001", GroupSchema: []uint32{id}, GroupOp: []byte{byte(row.Create)}, GroupFlags: []byte{0}, GroupRows: []uint32{uint32(n)},
			GroupEnd: []uint32{uint32(len(payload))}, GroupPos: []uint64{uint64(index)}, GroupEvent: []uint32{2}, GroupFirstRow: []uint32{uint32(first)},
			GroupTime: []uint32{1}, GroupTxn: []uint32{0}, TxnSid: []uint32{0}, TxnGno: []uint64{0}, TxnCommitUs: []uint64{0}, TxnPos: []uint64{uint64(index)},
			TxnThread: []uint32{0}, TxnServerId: []uint32{1}, TxnFlags: []byte{flags}, Checkpoint: c, Payload: payload,
		}
		if err := out.Send(&capturev1.SubscribeResponse{Message: &capturev1.SubscribeResponse_Batch{Batch: b}}); err != nil {
			return err
		}
		first += n
	}
	return nil
}

func appendFakeRow(b []byte, id int64) []byte {
	b = append(b, 0)
	b = row.AppendInt(b, id)
	return row.AppendBytes(b, fmt.Sprint("row ", id))
}

func fakeTable(id uint32, t *transaction) *rowv1.Table {
	return &rowv1.Table{SchemaId: id, Database: t.database, Table: t.table, Key: []uint32{0}, Columns: []*rowv1.Column{
		{Name: "id", Kind: rowv1.Kind_KIND_INT, TypeName: "INT", Position: 1}, {Name: "name", Kind: rowv1.Kind_KIND_STRING, TypeName: "VARCHAR", Position: 2},
	}}
}

func fakePosition(n int) *rowv1.Position {
	return &rowv1.Position{File: "fake.000001", Pos: uint64(n)}
}

func fakeCheckpoint(n, rows int) *rowv1.Checkpoint {
	token, _ := proto.Marshal(&rowv1.ResumeToken{Version: 1, Start: fakePosition(n), Row: uint64(rows)})
	return &rowv1.Checkpoint{Token: token, TransactionEnd: rows == 0, Offset: &rowv1.SourceOffset{File: "fake.000001", Pos: uint64(n), Row: uint64(rows)}}
}

func fakeFilter(f *capturev1.TableFilter) (func(string) bool, error) {
	var include []*regexp.Regexp
	for _, e := range f.GetIncludeTables() {
		re, err := regexp.Compile("(?i)^(?:" + e + ")$")
		if err != nil {
			return nil, errs.E(errs.Invalid, "tables.include_tables: %w", err)
		}
		include = append(include, re)
	}
	return func(name string) bool {
		for _, re := range include {
			if re.MatchString(name) {
				return true
			}
		}
		return len(include) == 0
	}, nil
}

// IDs returns the first column, an integer, of the rows of an insert-only batch without partial images.
func IDs(layouts map[uint32]*row.Layout, columns map[uint32]int, b *rowv1.Batch) ([]int64, error) {
	var out []int64
	payload := b.Payload
	for g, schema := range b.GroupSchema {
		lay := layouts[schema]
		if lay == nil {
			return nil, fmt.Errorf("batch %d: schema %d was not sent", b.Seq, schema)
		}
		cells := make([]row.Cell, columns[schema])
		for range b.GroupRows[g] {
			var err error
			if payload, err = lay.Split(cells, payload, false); err != nil {
				return nil, err
			}
			u, _ := binary.Uvarint(cells[0].Data)
			out = append(out, int64(u>>1)^-int64(u&1))
		}
	}
	return out, nil
}

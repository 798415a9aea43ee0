package snapshot

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/source"
)

// Emit takes the snapshot's messages; they are its own afterwards, but for the columns in schemas, which are shared and not to be written to. It sets
// epoch and seq. It may block: nothing is locked meanwhile, unless
// snapshot.locking.mode=extended asks for it.
type Emit func(*capturev1.SubscribeResponse) error

// run is one snapshot under way.
type run struct {
	Options
	info   source.Info
	out    Emit
	cut    *rowv1.Position
	tables []*table // all that it tells of, in name order
	wanted []*table // those of Rows among them, in reading order; from readRows on those that are read
	choose *chooser
	total  uint64 // rows sent
	done   uint32 // tables read
	// held begins with the last batch of the table read last, until it is known whether rows follow: see hold.
	held []*capturev1.SubscribeResponse
	// scanTime is when the last scan began on the server, microseconds; it dates the checkpoint.
	scanTime uint64
	// reported is when progress was told last.
	reported time.Time
}

// Run takes a snapshot: Ddl*, then for each table Schema Batch* SnapshotProgress, then the SnapshotProgress that is complete. An error of emit comes
// back as it is; the others have a kind: Denied and Invalid for what will fail again, Unavailable and Busy for what may work when started again.
func Run(ctx context.Context, o Options, emit Emit) (*Result, error) {
	o = o.withDefaults()
	r := &run{Options: o, out: emit, reported: time.Now()}
	var err error
	if r.choose, err = newChooser(o); err != nil {
		return nil, err
	}
	c, err := r.takeCut(ctx)
	if err != nil {
		return nil, err
	}
	defer c.close()
	if err := r.nameMembers(ctx, c); err != nil {
		return nil, err
	}
	if err := r.define(c); err != nil {
		return nil, err
	}
	if err := r.readRows(ctx, c); err != nil {
		return nil, err
	}
	end := r.checkpoint(false)
	err = emit(progressMessage(&capturev1.SnapshotProgress{
		Complete: true, Checkpoint: end, Tables: uint32(len(r.wanted)), TablesDone: r.done}))
	if err != nil {
		return nil, err
	}
	res := &Result{Cut: r.cut, Checkpoint: end, Info: r.info, Databases: c.databases, Rows: r.total}
	for _, t := range r.tables {
		if t.shape != nil {
			res.Tables = append(res.Tables, t.shape)
		}
	}
	return res, nil
}

// checkpoint is where a subscriber resumes: while the snapshot runs at its start, which an empty token and "INITIAL" say; after it at the cut.
func (r *run) checkpoint(running bool) *rowv1.Checkpoint {
	at := r.scanTime
	if at == 0 {
		at = uint64(time.Now().UnixMicro())
	}
	c := &rowv1.Checkpoint{
		// Rows of a snapshot belong to no transaction of the source: a publisher may commit after each batch.
		TransactionEnd: true,
		Offset:         &rowv1.SourceOffset{TsSec: int64(at / 1e6), File: r.cut.File, Pos: r.cut.Pos, Gtids: r.cut.Gtids},
	}
	if running {
		c.Offset.Snapshot = "INITIAL"
		return c
	}
	// Marshal fails for invalid UTF-8 alone, which file names and GTIDs of a server are not.
	c.Token, _ = proto.Marshal(&rowv1.ResumeToken{Version: 1, Start: r.cut})
	return c
}

func progressMessage(p *capturev1.SnapshotProgress) *capturev1.SubscribeResponse {
	return &capturev1.SubscribeResponse{Message: &capturev1.SubscribeResponse_Snapshot{Snapshot: p}}
}

// tableFailed tells that one table stops while the others go on.
func (r *run) tableFailed(t *table, err error) error {
	r.Log.Warn("table left out of the snapshot", "database", t.database, "table", t.name, "error", err)
	return r.emit(&capturev1.SubscribeResponse{Message: &capturev1.SubscribeResponse_TableError{TableError: &capturev1.TableError{
		Database: t.database, Table: t.name, Reason: err.Error(), Position: r.cut}}})
}

// changedUnderScan says of an error in the middle of a scan whether the table's definition changed under it.
func changedUnderScan(err error) bool {
	switch source.ErrorCode(err) {
	case 1412, 1054, 1146: // ER_TABLE_DEF_CHANGED, ER_BAD_FIELD_ERROR, ER_NO_SUCH_TABLE
		return true
	}
	return false
}

func scanError(t *table, err error) error {
	if changedUnderScan(err) {
		return changedError(t, err)
	}
	return errs.E(errs.KindOf(err), "snapshot of %s: %w", t.id(), err)
}

func changedError(t *table, err error) error {
	return errs.E(errs.Busy, "the definition of %s changed while the snapshot read it: the snapshot has to start again: %w", t.id(), err)
}

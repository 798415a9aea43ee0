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
	choose *chooser

	parallel bool
	ahead    time.Duration // of the server's clock to ours

	total    uint64   // rows sent
	names    []string // of the tables that are read, in the order in which they are begun
	count    uint32   // how many
	finished uint32   // of them
	opened   bool     // the snapshot's first row is marked
	changed  []*table // that changed between the cut and their scan
	// held begins with the last batch of the table that ended last, until it is known whether rows follow: see hold.
	held []*capturev1.SubscribeResponse
	// scanTime is when the scan of the table whose rows were sent last began on the server, microseconds; it dates the checkpoint.
	scanTime uint64
	// reported is when progress was told last.
	reported time.Time
}

// Run takes a snapshot: Ddl*, then for each table Schema Batch* SnapshotProgress, those of several tables mixed where several connections read, then the SnapshotProgress that is
// complete. An error of emit comes back as it is; the others have a kind: Denied, Invalid and Unsupported for what will fail again, Unavailable and Busy for what may work when started again.
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
	r.cut = c.position
	if err := r.nameMembers(ctx, c); err != nil {
		return nil, err
	}
	if err := r.define(c); err != nil {
		return nil, err
	}
	if err := r.readRows(ctx, c); err != nil {
		return nil, err
	}
	if err := r.readChanged(ctx, c); err != nil {
		return nil, err
	}
	if err := r.endRows(); err != nil {
		return nil, err
	}
	end := r.checkpoint(false)
	err = emit(progressMessage(&capturev1.SnapshotProgress{
		Complete: true, Checkpoint: end, Tables: r.count, TablesDone: r.finished}))
	if err != nil {
		return nil, err
	}
	res := &Result{Cut: r.cut, Checkpoint: end, Info: r.info, Databases: c.databases, Rows: r.total, Locked: c.lockedFor}
	for _, t := range c.tables {
		if t.shape != nil {
			res.Tables = append(res.Tables, t.shape)
		}
	}
	return res, nil
}

// mostRounds is how often tables are read again that changed under their scan: whatever changes more often than that is told as an error.
const mostRounds = 5

// readChanged reads the tables that changed between the cut and their scan once more, as they are now, and with them those that have come since: a table that is gone may have another
// name. Their rows are of a later place than the cut, so the log from the cut on tells what was before once more, and has the last word.
func (r *run) readChanged(ctx context.Context, first *cut) error {
	known := map[string]bool{}
	for _, t := range first.tables {
		known[t.id()] = true
	}
	for range mostRounds {
		if len(r.changed) == 0 {
			return nil
		}
		again := r.changed
		r.changed = nil
		for _, t := range again {
			delete(known, t.id())
		}
		c, err := r.takeLaterCut(ctx, known)
		if err != nil {
			return err
		}
		for _, t := range c.tables {
			known[t.id()] = true
		}
		err = r.readRows(ctx, c)
		c.close()
		if err != nil {
			return err
		}
	}
	for _, t := range r.changed {
		err := errs.E(errs.Busy, "the definition of %s changed %d times while the snapshot read it: ask for a snapshot of it again when it stays as it is", t.id(), mostRounds+1)
		if err := r.tableFailed(t, err); err != nil {
			return err
		}
	}
	return nil
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

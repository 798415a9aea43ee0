package publisher

import (
	"context"
	"regexp"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
)

// noted is a session that notes what it runs, and fails while broken.
type noted struct {
	ran    *[]string
	broken *bool
}

func (n noted) Exec(_ context.Context, sql string) error {
	if *n.broken {
		return errs.E(errs.Denied, "INSERT command denied")
	}
	*n.ran = append(*n.ran, regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`).ReplaceAllString(sql, "UUID"))
	return nil
}

func (noted) Close() error { return nil }

// A pair of rows for each chunk with rows, whether or not it ends its table, and one for the end; none for the end of what was stopped.
func TestWindows(t *testing.T) {
	for _, deletes := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var ran, told []string
			broken := false
			w := &windows{sql: windowStatements(&config.Signals{Table: "d`b.signals", DeleteWindows: deletes}), due: make(chan window, windowsDue), chunks: map[string]uint64{},
				connect: func(context.Context) (session, error) { return noted{&ran, &broken}, nil },
				tell: func(err error) {
					if err != nil {
						told = append(told, err.Error())
					}
				}}
			w.start(t.Context())
			stopped := capturev1.SnapshotState_SNAPSHOT_STATE_STOPPED
			for _, p := range []*capturev1.SnapshotProgress{
				{Id: "a", Table: "d.t", ChunksDone: 1, ToKey: "2"}, {Id: "a", Table: "d.t", ChunksDone: 1, ToKey: "2"}, {Id: "a", Table: "d.t", ChunksDone: 2, ToKey: "3", TableComplete: true},
				{Id: "a", Complete: true}, {Id: "b", Complete: true, State: stopped},
			} {
				w.chunk(p)
			}
			synctest.Wait()
			at := `"openWindowTimestamp": "2000-01-01T00:00:00.000000000Z"`
			open := "INSERT INTO `d``b`.`signals` VALUES ('UUID-open', 'snapshot-window-open', '{" + at + "}')"
			end := "INSERT INTO `d``b`.`signals` VALUES ('UUID-close', 'snapshot-window-close', '{" + at + `, "closeWindowTimestamp": "2000-01-01T00:00:00.000000000Z"}')`
			if deletes {
				end = "DELETE FROM `d``b`.`signals` WHERE id = 'UUID-open'"
			}
			if d := cmp.Diff([]string{open, end, open, end, open, end}, ran); d != "" {
				t.Error(d)
			}
			broken = true
			w.chunk(&capturev1.SnapshotProgress{Id: "c", Complete: true})
			synctest.Wait()
			if d := cmp.Diff([]string{"INSERT command denied"}, told); d != "" {
				t.Error(d)
			}
			w.close()
		})
	}
	if got := instant(time.Unix(1, 5)); got != "1970-01-01T00:00:01.000000005Z" {
		t.Error(got)
	}
}

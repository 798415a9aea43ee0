package capturer

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/rowmesh/rowmesh/capturer/chunk"
	"github.com/rowmesh/rowmesh/capturer/schema"
	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/registry"
)

// What becomes of a table that is being copied when the log comes to a statement about it:
//
//	ALTER, key as before      goes on behind the last border, with the new shape
//	ALTER, another key        is read from its beginning, by the new key
//	ALTER, no key left        ends with an error: rows not yet sent stay out
//	TRUNCATE, DROP            is complete: what is or will be in it is in the log
//	RENAME to another name    ends with an error, which names the new name
//	RENAME of another to it   is read from its beginning: the log need not have its rows
//	not understood            is looked at again on the server
//
// In all cases the chunks that are under way are read again or dropped.

// altered tells the copiers of a reader's feeds what a statement changes, before anything behind it goes out.
func (r *reader) altered(changes []schema.Change) {
	for _, f := range r.feeds {
		if f.dead || f.copy == nil {
			continue
		}
		for i := range changes {
			f.copy.altered(&changes[i])
		}
	}
}

// misunderstood tells them that what a table is cannot be told any more.
func (r *reader) misunderstood(table string) {
	for _, f := range r.feeds {
		if !f.dead && f.copy != nil {
			f.copy.unknown(table)
		}
	}
}

func (c *copier) altered(ch *schema.Change) {
	c.mu.Lock()
	idle := len(c.jobs) == 0
	c.mu.Unlock()
	if idle {
		return
	}
	if ch.Type == schema.DropDatabase {
		c.each(func(j *job) {
			if db, _ := split(j.table); db == ch.Database {
				c.complete(j, "")
			}
		})
		return
	}
	name := ch.Database + "." + ch.Table
	if ch.PreviousTable != "" {
		previous := ch.PreviousDatabase + "." + ch.PreviousTable
		if previous != name {
			c.touched.Break(previous)
			c.each(func(j *job) {
				if j.table == previous {
					c.complete(j, fmt.Sprintf("table %s was renamed to %s in the middle of its snapshot: its rows that were not sent yet stay out; take a snapshot of %s", previous, name, name))
				}
			})
		}
	}
	c.touched.Break(name)
	c.each(func(j *job) {
		if j.table != name {
			return
		}
		switch {
		case ch.Type == schema.TruncateTable || ch.After == nil:
			c.complete(j, "")
		case ch.Type == schema.CreateTable && ch.PreviousTable == "": // all that is in it is in the log
			j.gen++
		case ch.PreviousTable != "" && ch.PreviousDatabase+"."+ch.PreviousTable != name:
			c.anew(j)
		case j.full != nil && !keeps(j.full, ch.After, j.cursor.SurrogateKey), j.full == nil && len(j.cursor.Border) > 0:
			c.anew(j)
		default:
			j.gen++
		}
		j.full = ch.After
	})
	c.wakeUp()
}

// each calls f for each job. f may not change the list.
func (c *copier) each(f func(*job)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, j := range c.jobs {
		f(j)
	}
}

// anew lets a table be read from its beginning. Requires: mu.
func (c *copier) anew(j *job) {
	j.gen++
	j.ending = nil
	j.cursor.Border, j.cursor.Last, j.cursor.MaxKey = nil, nil, ""
	j.rows = 0
	c.encode()
}

// complete lets a job end with its next turn. Requires: mu.
func (c *copier) complete(j *job, why string) {
	j.gen++
	j.ending = &capturev1.SnapshotProgress{State: capturev1.SnapshotState_SNAPSHOT_STATE_SUCCEEDED}
	if why != "" {
		j.ending.State, j.ending.Error = capturev1.SnapshotState_SNAPSHOT_STATE_SKIPPED, why
	}
}

// unknown lets a table whose statement is not understood be looked at again.
func (c *copier) unknown(table string) {
	c.touched.Break(table)
	c.each(func(j *job) {
		if j.table == table {
			c.anew(j)
			j.full = nil
		}
	})
}

// withoutKey ends the jobs of a table whose rows in the log lack their key.
func (c *copier) withoutKey(table string) {
	c.touched.Break(table)
	c.each(func(j *job) {
		if j.table == table {
			c.complete(j, fmt.Sprintf("the log does not hold the key of the rows of %s that change: set binlog_row_image=FULL for all sessions, and take a new snapshot of it", table))
		}
	})
}

// keeps says whether a table keeps its key.
func keeps(a, b *rowv1.Table, surrogate string) bool {
	ka, errA := chunk.KeyOf(a, surrogate)
	kb, errB := chunk.KeyOf(b, surrogate)
	return errA == nil && errB == nil && chunk.Same(a, ka, b, kb)
}

func version(t *rowv1.Table, at *rowv1.Position) registry.TableVersion {
	return registry.TableVersion{Database: t.Database, Table: t.Table, ValidFrom: at, Shape: proto.CloneOf(t)}
}

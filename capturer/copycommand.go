package capturer

import (
	"context"
	"fmt"
	"time"

	"github.com/rowmesh/rowmesh/capturer/throttle"
	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
)

// maxJobs bounds the tables that wait for their snapshot: each is named in every resume token.
const maxJobs = 1000

// commands carries out what the subscriber asks for until ctx ends.
func (c *copier) commands(ctx context.Context, ch <-chan *capturev1.SnapshotCommand) error {
	wants, err := newFilter(c.feed.open.Tables)
	if err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case cmd := <-ch:
			for _, s := range c.command(cmd, wants) {
				if err := c.say(ctx, s); err != nil {
					return nil // the stream ends
				}
			}
			c.wakeUp()
		}
	}
}

// command carries out one command, and returns what is told of it.
func (c *copier) command(cmd *capturev1.SnapshotCommand, wants *filter) []*capturev1.SnapshotProgress {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []*capturev1.SnapshotProgress
	switch cmd.Action {
	case capturev1.SnapshotAction_SNAPSHOT_ACTION_START:
		out = c.startCommand(cmd, wants)
	case capturev1.SnapshotAction_SNAPSHOT_ACTION_STOP:
		out = c.stopCommand(cmd)
	case capturev1.SnapshotAction_SNAPSHOT_ACTION_PAUSE, capturev1.SnapshotAction_SNAPSHOT_ACTION_RESUME:
		pause := cmd.Action == capturev1.SnapshotAction_SNAPSHOT_ACTION_PAUSE
		told := map[string]bool{}
		for _, j := range c.jobs {
			if !concerns(cmd, j) {
				continue
			}
			if j.paused != pause {
				j.paused = pause
				j.gen++
			}
			if !told[j.id] {
				told[j.id] = true
				s := c.describe(j)
				out = append(out, s)
			}
		}
	case capturev1.SnapshotAction_SNAPSHOT_ACTION_THROTTLE:
		c.limit(cmd)
		for _, j := range c.jobs {
			if concerns(cmd, j) {
				if cmd.ChunkRows > 0 && cmd.ChunkRows != j.cursor.ChunkRows {
					j.cursor.ChunkRows = cmd.ChunkRows
					j.gen++
				}
				j.cursor.RowsPerSecond, j.cursor.BytesPerSecond = cmd.RowsPerSecond, cmd.BytesPerSecond
			}
		}
		if len(c.jobs) > 0 {
			out = append(out, c.describe(c.jobs[0]))
		}
	}
	c.encode()
	return out
}

// limit takes over limits of the rate, which hold for all that the copier reads. Requires: mu.
func (c *copier) limit(cmd *capturev1.SnapshotCommand) {
	l := c.rate.State().Limits
	l.RowsPerSecond, l.BytesPerSecond = cmd.RowsPerSecond, cmd.BytesPerSecond
	c.rate.Set(l)
}

// concerns says whether a command is about a job.
func concerns(cmd *capturev1.SnapshotCommand, j *job) bool {
	if cmd.Id != "" && cmd.Id != j.id {
		return false
	}
	if len(cmd.Tables) == 0 {
		return true
	}
	for _, t := range cmd.Tables {
		if t.Table == j.table {
			return true
		}
	}
	return false
}

func (c *copier) startCommand(cmd *capturev1.SnapshotCommand, wants *filter) []*capturev1.SnapshotProgress {
	for _, j := range c.jobs {
		if j.id == cmd.Id && !j.initial {
			return []*capturev1.SnapshotProgress{c.describe(j)}
		}
	}
	var out []*capturev1.SnapshotProgress
	refuse := func(table string, state capturev1.SnapshotState, why string) {
		out = append(out, &capturev1.SnapshotProgress{Id: cmd.Id, Table: table, Incremental: true, TableComplete: true, State: state, Error: why})
	}
	added := 0
	for _, t := range cmd.Tables {
		db, name := split(t.Table)
		switch {
		case wants.table(db, name)&wanted == 0:
			refuse(t.Table, capturev1.SnapshotState_SNAPSHOT_STATE_UNKNOWN_SCHEMA, fmt.Sprintf("table %s is not one of this subscription's", t.Table))
		case len(c.jobs) >= maxJobs:
			refuse(t.Table, capturev1.SnapshotState_SNAPSHOT_STATE_SKIPPED, fmt.Sprintf("%d tables wait for their snapshot already; try again when some are done", maxJobs))
		default:
			if err := checkCondition(t.Condition); err != nil {
				refuse(t.Table, capturev1.SnapshotState_SNAPSHOT_STATE_SQL_EXCEPTION, fmt.Sprintf("condition of %s: %v", t.Table, err))
				continue
			}
			c.jobs = append(c.jobs, &job{id: cmd.Id, table: t.Table, cursor: &rowv1.SnapshotCursor{Id: cmd.Id, Table: t.Table, Condition: t.Condition,
				SurrogateKey: t.SurrogateKey, ChunkRows: cmd.ChunkRows, RowsPerSecond: cmd.RowsPerSecond, BytesPerSecond: cmd.BytesPerSecond, Threads: cmd.Threads}})
			added++
		}
	}
	if cmd.RowsPerSecond > 0 || cmd.BytesPerSecond > 0 {
		c.limit(cmd)
	}
	if cmd.Threads > 0 {
		c.threads = int(min(cmd.Threads, maxCopyThreads))
	}
	if added == 0 {
		out = append(out, &capturev1.SnapshotProgress{Id: cmd.Id, Incremental: true, Complete: true, State: capturev1.SnapshotState_SNAPSHOT_STATE_SKIPPED,
			Error: "none of the tables can be read"})
	}
	return out
}

// stopCommand ends jobs. The table whose turn it is ends with the chunk that is under way, or the first one: so that who starts and stops in one breath gets an answer.
func (c *copier) stopCommand(cmd *capturev1.SnapshotCommand) []*capturev1.SnapshotProgress {
	var out []*capturev1.SnapshotProgress
	ids := map[string]bool{}
	for i := 0; i < len(c.jobs); {
		j := c.jobs[i]
		if j.initial || !concerns(cmd, j) {
			i++
			continue
		}
		if i == 0 && !j.paused {
			j.stopping = true
			i++
			continue
		}
		ids[j.id] = true
		c.remove(j)
		s := c.describe(j)
		s.TableComplete, s.State = true, capturev1.SnapshotState_SNAPSHOT_STATE_STOPPED
		out = append(out, s)
	}
	for id := range ids {
		if c.over(id, false) {
			out = append(out, &capturev1.SnapshotProgress{Id: id, Incremental: true, Complete: true, State: capturev1.SnapshotState_SNAPSHOT_STATE_STOPPED})
		}
	}
	return out
}

// resumed tells how far the snapshots are that a token brought along.
func (c *copier) resumed() []*capturev1.SnapshotProgress {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []*capturev1.SnapshotProgress
	for _, j := range c.jobs {
		if !j.initial {
			j.since = time.Now()
			out = append(out, c.describe(j))
		}
		if j.cursor.RowsPerSecond > 0 || j.cursor.BytesPerSecond > 0 {
			c.rate.Set(throttle.Limits{RowsPerSecond: j.cursor.RowsPerSecond, BytesPerSecond: j.cursor.BytesPerSecond})
		}
	}
	return out
}

// checkCondition refuses what is more than one expression: parentheses that close what they did not open, comments, and statements' ends.
func checkCondition(sql string) error {
	depth := 0
	for i := 0; i < len(sql); i++ {
		switch ch := sql[i]; ch {
		case '\'', '"', '`':
			end := i + 1
			for end < len(sql) && sql[end] != ch {
				if sql[end] == '\\' && ch != '`' {
					end++
				}
				end++
			}
			if end >= len(sql) {
				return fmt.Errorf("a quote at byte %d is not closed", i+1)
			}
			i = end
		case '(':
			depth++
		case ')':
			if depth--; depth < 0 {
				return fmt.Errorf("a parenthesis at byte %d closes none", i+1)
			}
		case ';', '#', 0:
			return fmt.Errorf("%q at byte %d: it is one expression, without a statement's end or a comment", ch, i+1)
		case '-', '/', '*':
			if i+1 < len(sql) && (ch == '-' && sql[i+1] == '-' || ch == '/' && sql[i+1] == '*' || ch == '*' && sql[i+1] == '/') {
				return fmt.Errorf("a comment at byte %d: it is one expression", i+1)
			}
		}
	}
	if depth != 0 {
		return fmt.Errorf("%d parentheses are not closed", depth)
	}
	return nil
}

package command

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/rowmesh/rowmesh/services/errs"
)

// snapshotTable is a table of a snapshot as the REST API shows it.
type snapshotTable struct {
	Table         string `json:"table"`
	State         string `json:"state"`
	RowsDone      uint64 `json:"rows_done"`
	RowsEstimated uint64 `json:"rows_estimated"`
	ChunksDone    uint64 `json:"chunks_done"`
	ChunksLeft    uint64 `json:"chunks_left"`
	RowsPerSecond uint64 `json:"rows_per_second"`
	LeftMS        uint64 `json:"left_ms"`
	Error         string `json:"error,omitempty"`
}

// snapshotStatus is a snapshot on one task as the REST API shows it.
type snapshotStatus struct {
	ID        string          `json:"id"`
	Task      uint32          `json:"task"`
	Type      string          `json:"type"`
	State     string          `json:"state"`
	StartedMS int64           `json:"started_ms,omitempty"`
	EndedMS   int64           `json:"ended_ms,omitempty"`
	Resting   string          `json:"resting,omitempty"`
	Tables    []snapshotTable `json:"tables"`
}

// snapshot is the command group for snapshots of running connectors.
func snapshot() *cobra.Command {
	k := &connectors{}
	c := &cobra.Command{
		Use: "snapshot", Aliases: []string{"snapshots"}, Short: "Read tables of a running connector again, by the REST API",
		Long: "Starts and steers snapshots of tables while their connector streams on (incremental), or while it waits (--blocking).",
	}
	k.connection.flags(c.PersistentFlags())
	c.AddCommand(k.snapshotStart(), k.snapshotSteer("stop", "Stop snapshots; what is being read is still delivered"), k.snapshotSteer("pause", "Pause snapshots"),
		k.snapshotSteer("resume", "Let paused snapshots go on"), k.snapshotThrottle(), k.snapshotStatus())
	return c
}

// snapshotLimits are flags of what holds a snapshot back.
type snapshotLimits struct {
	chunk       uint32
	rows, bytes uint64
}

func (l *snapshotLimits) flags(c *cobra.Command) {
	c.Flags().Uint32Var(&l.chunk, "chunk-rows", 0, "rows per chunk (default: incremental.snapshot.chunk.size)")
	c.Flags().Uint64Var(&l.rows, "rows-per-second", 0, "read no more rows a second; 0: no limit")
	c.Flags().Uint64Var(&l.bytes, "bytes-per-second", 0, "read no more bytes a second; 0: no limit")
}

func (k *connectors) snapshotStart() *cobra.Command {
	var id, surrogate string
	var where []string
	var blocking, wait bool
	var limits snapshotLimits
	c := &cobra.Command{
		Use: "start NAME TABLE...", Short: "Read tables of a connector", Args: cobra.MinimumNArgs(2), ValidArgsFunction: k.names,
		Long: `Reads tables, given as database.table or as regular expressions on that.
--where 'shop.orders=id > 1000' reads some rows of a table only.`,
		RunE: func(c *cobra.Command, args []string) error {
			body := map[string]any{"tables": args[1:], "type": "incremental", "id": id, "surrogate_key": surrogate,
				"chunk_rows": limits.chunk, "rows_per_second": limits.rows, "bytes_per_second": limits.bytes}
			if blocking {
				body["type"] = "blocking"
			}
			conditions := []map[string]string{}
			for _, w := range where {
				table, filter, ok := strings.Cut(w, "=")
				if !ok || strings.TrimSpace(filter) == "" {
					return errs.E(errs.Invalid, "--where %s is not TABLE=CONDITION", w)
				}
				conditions = append(conditions, map[string]string{"table": strings.TrimSpace(table), "filter": strings.TrimSpace(filter)})
			}
			body["conditions"] = conditions
			b, err := json.Marshal(body)
			if err != nil {
				return err
			}
			a, err := k.open()
			if err != nil {
				return err
			}
			answer, err := a.do(c.Context(), http.MethodPost, connectorPath(args[0], "snapshots"), b)
			if err != nil {
				return err
			}
			var started struct {
				ID     string   `json:"id"`
				Tables []string `json:"tables"`
			}
			if err := json.Unmarshal(answer, &started); err != nil {
				return fmt.Errorf("answer %.200s: %w", answer, err)
			}
			fmt.Fprintf(c.OutOrStdout(), "snapshot %s of %s\n", started.ID, strings.Join(started.Tables, ", "))
			if !wait {
				return nil
			}
			return k.watchSnapshot(c, a, args[0], started.ID)
		},
	}
	f := c.Flags()
	f.StringVar(&id, "id", "", "name of the snapshot; the same one again starts nothing twice (default: one is made up)")
	f.StringVar(&surrogate, "surrogate-key", "", "column to read the tables by, in place of their keys")
	f.StringArrayVar(&where, "where", nil, "TABLE=CONDITION: only rows for which the SQL condition holds; with --blocking a whole SELECT; may be given more than once")
	f.BoolVar(&blocking, "blocking", false, "let the stream wait until the tables are read")
	f.BoolVar(&wait, "wait", false, "show the progress and wait for the end")
	limits.flags(c)
	return c
}

// watchSnapshot shows a snapshot until it has ended. A table that failed is a finding.
func (k *connectors) watchSnapshot(c *cobra.Command, a *api, name, id string) error {
	o := output{format: "table"}
	for {
		all, err := snapshotsOf(c, a, name, id)
		if err != nil {
			return err
		}
		if isTerminal(c.OutOrStdout()) {
			fmt.Fprint(c.OutOrStdout(), "\x1b[H\x1b[2J")
			if err := o.print(c.OutOrStdout(), all, snapshotListing(all)); err != nil {
				return err
			}
		}
		running, failed := 0, 0
		for _, s := range all {
			if s.EndedMS == 0 {
				running++
			}
			for _, t := range s.Tables {
				if t.Error != "" {
					failed++
				}
			}
		}
		switch {
		case running > 0:
		case failed > 0:
			_ = o.print(c.OutOrStdout(), all, snapshotListing(all))
			return findings{fmt.Sprintf("%d tables could not be read to their end", failed)}
		default:
			return o.print(c.OutOrStdout(), all, snapshotListing(all))
		}
		select {
		case <-c.Context().Done():
			return c.Context().Err()
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// snapshotsOf reads the snapshots of a connector; id empty: all.
func snapshotsOf(c *cobra.Command, a *api, name, id string) ([]snapshotStatus, error) {
	var all struct {
		Snapshots []snapshotStatus `json:"snapshots"`
	}
	parts := []string{"snapshots"}
	if id != "" {
		parts = append(parts, id)
	}
	err := a.get(c.Context(), connectorPath(name, parts...), &all)
	return all.Snapshots, err
}

// snapshotSteer is stop, pause or resume.
func (k *connectors) snapshotSteer(action, short string) *cobra.Command {
	states := map[string]string{"stop": "STOPPED", "pause": "PAUSED", "resume": "RUNNING"}
	var tables []string
	c := &cobra.Command{
		Use: action + " NAME [ID]", Short: short, Args: cobra.RangeArgs(1, 2), ValidArgsFunction: k.names,
		Long: short + ". Without an ID all that run of the connector.",
		RunE: func(c *cobra.Command, args []string) error {
			return k.steer(c, args, map[string]any{"state": states[action], "tables": tables})
		},
	}
	if action == "stop" {
		c.Flags().StringSliceVar(&tables, "table", nil, "only these tables, as database.table or regular expressions")
	}
	return c
}

func (k *connectors) snapshotThrottle() *cobra.Command {
	var limits snapshotLimits
	c := &cobra.Command{
		Use: "throttle NAME [ID]", Short: "Hold snapshots back, or let them go again", Args: cobra.RangeArgs(1, 2), ValidArgsFunction: k.names,
		RunE: func(c *cobra.Command, args []string) error {
			return k.steer(c, args, map[string]any{"chunk_rows": limits.chunk, "rows_per_second": limits.rows, "bytes_per_second": limits.bytes})
		},
	}
	limits.flags(c)
	return c
}

// steer asks for a change of one snapshot, or of all that run.
func (k *connectors) steer(c *cobra.Command, args []string, body map[string]any) error {
	a, err := k.open()
	if err != nil {
		return err
	}
	ids := args[1:]
	if len(ids) == 0 {
		all, err := snapshotsOf(c, a, args[0], "")
		if err != nil {
			return err
		}
		seen := map[string]bool{}
		for _, s := range all {
			if s.EndedMS == 0 && s.Type == "incremental" && !seen[s.ID] {
				seen[s.ID] = true
				ids = append(ids, s.ID)
			}
		}
		if len(ids) == 0 {
			return fmt.Errorf("connector %s runs no incremental snapshot", args[0])
		}
	}
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if _, err := a.do(c.Context(), http.MethodPatch, connectorPath(args[0], "snapshots", id), b); err != nil {
			return err
		}
		fmt.Fprintln(c.OutOrStdout(), "snapshot", id)
	}
	return nil
}

func (k *connectors) snapshotStatus() *cobra.Command {
	var o output
	c := &cobra.Command{
		Use: "status NAME [ID]", Short: "Show how far snapshots are", Args: cobra.RangeArgs(1, 2), ValidArgsFunction: k.names,
		RunE: func(c *cobra.Command, args []string) error {
			a, err := k.open()
			if err != nil {
				return err
			}
			id := ""
			if len(args) > 1 {
				id = args[1]
			}
			return o.show(c.Context(), c.OutOrStdout(), func(w io.Writer) error {
				all, err := snapshotsOf(c, a, args[0], id)
				if err != nil {
					return err
				}
				return o.print(w, all, snapshotListing(all))
			})
		},
	}
	o.flags(c.Flags(), true)
	return c
}

// snapshotListing is a line for each table.
func snapshotListing(all []snapshotStatus) listing {
	l := listing{head: []string{"SNAPSHOT", "TABLE", "STATE", "PROGRESS", "ROWS", "ROWS/S", "ETA", "WHY", "TASK", "CHUNKS"}, wide: 8}
	for _, s := range all {
		for _, t := range s.Tables {
			state, why := t.State, t.Error
			if s.State == "PAUSED" && s.EndedMS == 0 && t.Error == "" && t.State == "RUNNING" {
				state = s.State
			}
			if why == "" && state == "RUNNING" {
				why = s.Resting
			}
			rate, eta := "", ""
			if state == "RUNNING" {
				rate, eta = fmt.Sprint(t.RowsPerSecond), left(t.LeftMS)
			}
			l.row(s.ID, s.ID, t.Table, state, bar(t), rowsOf(t), rate, eta, why, fmt.Sprint(s.Task), fmt.Sprintf("%d/%d", t.ChunksDone, t.ChunksDone+t.ChunksLeft))
		}
	}
	return l
}

// barWidth is the width of a progress bar: narrow enough for the other columns.
const barWidth = 20

// bar shows how much of a table is read. The estimate may be wrong, so a table that is not complete is never shown as full.
func bar(t snapshotTable) string {
	part := 0.0
	switch {
	case t.State == "SUCCEEDED" || t.State == "EMPTY":
		part = 1
	case t.RowsEstimated > 0:
		part = min(float64(t.RowsDone)/float64(t.RowsEstimated), 0.99)
	}
	full := int(part * barWidth)
	return "[" + strings.Repeat("#", full) + strings.Repeat(".", barWidth-full) + fmt.Sprintf("] %3d%%", int(part*100))
}

func rowsOf(t snapshotTable) string {
	if t.RowsEstimated == 0 || t.State == "SUCCEEDED" || t.State == "EMPTY" {
		return fmt.Sprint(t.RowsDone)
	}
	return fmt.Sprintf("%d/~%d", t.RowsDone, t.RowsEstimated)
}

// left is a duration to go; empty if it is not known.
func left(ms uint64) string {
	if ms == 0 {
		return ""
	}
	return (time.Duration(ms) * time.Millisecond).Round(time.Second).String()
}

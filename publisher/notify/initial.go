package notify

import (
	"strconv"
	"strings"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
)

const initialSnapshot = "Initial Snapshot"

// Initial follows the snapshot that a stream begins with, or a blocking one.
type Initial struct {
	*Source
	tables  []string        // in reading order
	reading map[string]bool // told to be in progress, and not at its end
	ended   bool
}

// NewInitial begins with a snapshot, which is told of.
func NewInitial(s *Source) (*Initial, []Notification) {
	i := &Initial{Source: s, reading: map[string]bool{}}
	return i, []Notification{i.new("", initialSnapshot, started)}
}

// Skipped is the notification of a start that needs no snapshot.
func Skipped(s *Source) []Notification { return []Notification{s.new("", initialSnapshot, skipped)} }

// Progress returns what is told about a message. leave names a table that is read and not told of, the one of the signals; empty: none.
func (i *Initial) Progress(p *capturev1.SnapshotProgress, leave string) []Notification {
	if len(p.TableNames) > 0 {
		i.tables = nil
		for _, t := range p.TableNames {
			if t != leave {
				i.tables = append(i.tables, t)
			}
		}
	}
	if i.ended || p.Table == leave && leave != "" {
		return nil
	}
	var out []Notification
	if p.Table != "" && !i.reading[p.Table] {
		i.reading[p.Table] = true
		out = append(out, i.new("", initialSnapshot, inProgress, current, p.Table, dataCollections, joinSet(i.tables)))
	}
	if p.Table != "" && p.TableComplete {
		delete(i.reading, p.Table)
		out = append(out, i.new("", initialSnapshot, tableScanCompleted, scanned, p.Table, totalRowsScanned, strconv.FormatUint(p.RowsDone, 10),
			dataCollections, strings.Join(i.tables, ","), status, succeeded))
	}
	if p.Complete {
		i.ended = true
		out = append(out, i.new("", initialSnapshot, completed))
	}
	return out
}

// Aborted is told when the snapshot ends in the middle; nil if it had ended.
func (i *Initial) Aborted() []Notification {
	if i == nil || i.ended {
		return nil
	}
	i.ended = true
	return []Notification{i.new("", initialSnapshot, aborted)}
}

package publisher

import (
	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	"github.com/rowmesh/rowmesh/publisher/lane"
	"github.com/rowmesh/rowmesh/publisher/notify"
)

// notices is what a lane has of notifications, from open to release; nil: nobody is to be notified.
type notices struct {
	source   *notify.Source
	initial  *notify.Initial
	onDemand *notify.OnDemand
	// first are those of the start: they are sent with the first message.
	first []notify.Notification
}

// newNotices begins with the notifications of a start. A lane that starts again for a blocking snapshot, or behind it, goes on where it was.
func (t *task) newNotices(aborted *notify.Initial) *notices {
	if !t.cfg.Notifications.Any() {
		return nil
	}
	n := &notices{source: &notify.Source{Connector: t.cfg.TopicPrefix, Now: func() int64 { return t.p.out.now().UnixMilli() }, NewID: newUUID}}
	n.onDemand = notify.NewOnDemand(n.source)
	n.first = aborted.Aborted()
	switch {
	case t.start.snapshot != nil:
		var began []notify.Notification
		n.initial, began = notify.NewInitial(n.source)
		n.first = append(n.first, began...)
	case !t.turned && t.start.define == nil:
		n.first = append(n.first, notify.Skipped(n.source)...)
	}
	return n
}

// tell sends notifications; nil is none.
func (t *task) tell(all []notify.Notification) error {
	if t.notices == nil {
		return nil
	}
	if len(t.notices.first) > 0 {
		all = append(t.notices.first, all...)
		t.notices.first = nil
	}
	if len(all) == 0 {
		return nil
	}
	t.encoded.Reset()
	for i := range all {
		n := &all[i]
		if t.cfg.Notifications.Log {
			t.log.Info("notification", "id", n.ID, "aggregate_type", n.Aggregate, "type", n.Type, "additional_data", n.Data, "timestamp", n.TimeMS)
		}
		if topic := t.cfg.Notifications.Topic; topic != "" {
			t.encoder.Notification(topic, n, &t.encoded)
		}
	}
	_, err := t.out.send(t.work, &t.encoded, nil)
	return err
}

// snapshotNotices are those about a message of the snapshot that the stream begins with, or of a blocking one.
func (t *task) snapshotNotices(p *capturev1.SnapshotProgress) []notify.Notification {
	if t.notices == nil || t.notices.initial == nil {
		return nil
	}
	leave := ""
	if t.cfg.Signals.Source {
		leave = t.cfg.Signals.Table
	}
	return t.notices.initial.Progress(p, leave)
}

// startNotice is that of the beginning of an incremental snapshot; none where it began before the lane started.
func (t *task) startNotice(c *capturev1.SnapshotCommand, again bool) []notify.Notification {
	if t.notices == nil {
		return nil
	}
	var tables []string
	for _, table := range c.Tables {
		tables = append(tables, table.Table)
	}
	return t.notices.onDemand.Start(c.Id, tables, again)
}

func (t *task) onDemandNotices(p *capturev1.SnapshotProgress) []notify.Notification {
	if t.notices == nil {
		return nil
	}
	return t.notices.onDemand.Progress(p)
}

// tellStart tells of the start of the lane with its first message that brings something, since the records need a transaction that is committed.
func (t *task) tellStart(m *capturev1.SubscribeResponse) error {
	if t.notices == nil || len(t.notices.first) == 0 {
		return nil
	}
	switch m.Message.(type) {
	case *capturev1.SubscribeResponse_Batch, *capturev1.SubscribeResponse_Ddl, *capturev1.SubscribeResponse_Snapshot:
		return t.tell(nil)
	case *capturev1.SubscribeResponse_Progress:
		if err := t.tell(nil); err != nil || t.place.taken.Source == nil {
			return err
		}
		t.machine.Took(t.clock(), lane.Taken{Rows: true, End: t.atEnd, Urgent: true})
	}
	return nil
}

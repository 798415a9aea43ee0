package publisher

import (
	"testing"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"github.com/rowmesh/rowmesh/services/registry"
)

// keys reads n committed records of a topic and returns their keys.
func (w *world) keys(topic string, n int) (keys []string) {
	w.t.Helper()
	c, err := kafka.NewConsumer(&kafka.ConfigMap{"bootstrap.servers": w.addr, "group.id": "unused", "isolation.level": "read_committed",
		"enable.auto.commit": false, "log_level": 0, "allow.auto.create.topics": false})
	if err != nil {
		w.t.Fatal(err)
	}
	defer c.Close()
	if err := c.Assign([]kafka.TopicPartition{{Topic: &topic, Partition: 0, Offset: 0}}); err != nil {
		w.t.Fatal(err)
	}
	for end := time.Now().Add(30 * time.Second); len(keys) < n && time.Now().Before(end); {
		if m, err := c.ReadMessage(100 * time.Millisecond); err == nil {
			keys = append(keys, string(m.Key))
		}
	}
	return keys
}

func TestHeartbeatsComeWithEvents(t *testing.T) {
	w := newWorld(t, 20, map[string]string{"heartbeat.interval.ms": "100", "topic.heartbeat.prefix": "hb"})
	w.conf["topic.heartbeat.name"] = w.name + "-beats" // so that it is removed with the others
	w.configure()
	w.publisher("a")
	w.mesh.assign(w.lane(0, 1, "a"))
	if got := w.keys(w.name+"-beats", 1); len(got) != 1 || got[0] != `{"serverName":"`+w.name+`"}` {
		t.Fatalf("at the end of the snapshot: %q", got)
	}
	done := make(chan struct{})
	go func() { // changes for a second
		defer close(done)
		for range 10 {
			w.src.grow(1)
			time.Sleep(100 * time.Millisecond)
		}
	}()
	got := w.keys(w.name+"-beats", 4)
	<-done
	if len(got) != 4 {
		t.Errorf("%d heartbeats while rows came, want 4", len(got))
	}
}

func TestDelays(t *testing.T) {
	w := newWorld(t, 20, map[string]string{"snapshot.delay.ms": "300", "streaming.delay.ms": "400"})
	w.publisher("a")
	begin := time.Now()
	l := w.lane(0, 1, "a")
	w.mesh.assign(l)
	w.until("the snapshot is done", func() bool { return w.mesh.status(l.LaneID).SnapshotDone })
	if d := time.Since(begin); d < 300*time.Millisecond {
		t.Errorf("the snapshot was done after %s", d)
	}
	w.src.grow(5)
	if got := w.ids("t0", 25); len(got) != 25 {
		t.Errorf("%d rows, want 25", len(got))
	}
	if d := time.Since(begin); d < 700*time.Millisecond {
		t.Errorf("rows of the log came after %s", d)
	}
}

func TestDelayIsInterrupted(t *testing.T) {
	w := newWorld(t, 20, map[string]string{"snapshot.delay.ms": "600000"})
	_, stop := w.publisher("a")
	l := w.lane(0, 1, "a")
	w.mesh.assign(l)
	w.until("it waits", func() bool { return w.mesh.status(l.LaneID).State == registry.LaneRunning })
	l.Target = registry.Paused
	w.mesh.assign(l)
	w.until("it is paused", func() bool { return w.mesh.status(l.LaneID).State == registry.LanePaused })
	l.Target = registry.Running
	w.mesh.assign(l)
	w.until("it waits again", func() bool { return w.mesh.status(l.LaneID).State == registry.LaneRunning })
	if n := w.subscriptions(); n != 0 {
		t.Errorf("%d subscriptions before the delay is over", n)
	}
	stop()
}

func (w *world) subscriptions() int {
	w.src.mu.Lock()
	defer w.src.mu.Unlock()
	return w.src.subs
}

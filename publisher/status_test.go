package publisher

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/rowmesh/rowmesh/services/registry"
)

// statuses takes statuses.
type statuses struct {
	Assignments
	got chan registry.LaneStatus
}

func (s statuses) PutStatus(_ context.Context, st registry.LaneStatus) error {
	s.got <- st
	return nil
}

// TestForgottenTopicsAreToldAgain forgets the topics of a lane: the same ones are stored again once they are written again.
func TestForgottenTopicsAreToldAgain(t *testing.T) {
	to := statuses{got: make(chan registry.LaneStatus, 10)}
	s := newStatus(to, "w:1", registry.LaneID{Connector: "c"}, slog.New(slog.DiscardHandler))
	s.start(t.Context())
	defer s.close(t.Context())
	s.set(1, registry.LaneRunning, nil, nil, time.Time{})
	s.topic("a")
	await := func() {
		t.Helper()
		for {
			select {
			case st := <-to.got:
				if slices.Equal(st.Topics, []string{"a"}) {
					return
				}
			case <-time.After(10 * time.Second):
				t.Fatal("topic a is not told")
			}
		}
	}
	await()
	before := s.forgotten.Load()
	s.forgetTopics()
	if s.forgotten.Load() == before {
		t.Error("nobody can see that the topics are forgotten")
	}
	s.topic("a")
	await()
}

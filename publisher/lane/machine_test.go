package lane

import "testing"

// What Confirm has refused is not tried again, however often the watch shows it. But generations can fall: an etcd restored from a backup counts from a lower
// one, and a lane that waited for a higher one waited for ever.
func TestRefusedGeneration(t *testing.T) {
	m := New(Cut{})
	m.Assign(&Assignment{Generation: 9})
	m.Done(0, OK) // Fence
	if a := m.Action(0, false); a != Confirm {
		t.Fatalf("action %v, want Confirm", a)
	}
	m.Done(0, Lost)
	m.Done(0, OK) // Release
	m.Assign(&Assignment{Generation: 9})
	if a := m.Action(0, false); a != Idle {
		t.Errorf("action %v after the refused generation, want Idle", a)
	}
	m.Assign(&Assignment{Generation: 5})
	if a := m.Action(0, false); a != Fence {
		t.Errorf("action %v after generation 5, want Fence", a)
	}
}

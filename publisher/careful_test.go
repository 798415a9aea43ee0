package publisher

import (
	"testing"

	"github.com/rowmesh/rowmesh/services/errs"
)

func TestCareful(t *testing.T) {
	var c careful
	if c.failed(errs.E(errs.Unavailable, "away"), 1); c.open(false) || c.took() || c.over() {
		t.Error("careful after a failure that passes by itself")
	}
	c.failed(errs.E(errs.Invalid, "bad row"), 1)
	c.configured(1)
	if c.open(true) || c.took() {
		t.Error("a snapshot is cut")
	}
	if !c.open(false) {
		t.Error("not careful after a record that cannot be sent")
	}
	for range carefulMessages {
		if c.over() || !c.took() {
			t.Fatal("not careful any more")
		}
	}
	if !c.over() || c.took() {
		t.Error("careful for ever")
	}
	c.failed(errs.E(errs.Invalid, "bad row"), 1)
	if c.configured(2); c.open(false) {
		t.Error("careful though the config is another one")
	}
}

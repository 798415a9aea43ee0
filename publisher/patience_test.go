package publisher

import (
	"strings"
	"testing"
	"time"

	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
)

func TestPatience(t *testing.T) {
	away := errs.E(errs.Unavailable, "transform server x: nobody there")
	start := time.Unix(1000, 0)
	cfg := func(timeout time.Duration, tolerance string) *config.Connector {
		return &config.Connector{ErrorsTolerance: tolerance, Errors: config.Errors{RetryTimeout: timeout}}
	}
	for _, c := range []struct {
		name string
		cfg  *config.Connector
		kind errs.Kind
		over bool
	}{
		{"no option", cfg(0, "none"), errs.Unavailable, false},
		{"for ever", cfg(-1, "all"), errs.Unavailable, false},
		{"not yet", cfg(time.Hour, "none"), errs.Unavailable, false},
		{"over", cfg(time.Minute, "none"), errs.Invalid, false},
		{"over and tolerated", cfg(time.Minute, "all"), errs.Unavailable, true},
	} {
		p, s := patience{}, &stage{}
		if err := p.judge(start, c.cfg, s, away); errs.KindOf(err) != errs.Unavailable || p.over {
			t.Errorf("%s, at first: %v", c.name, err)
		}
		err := p.judge(start.Add(2*time.Minute), c.cfg, s, away)
		if errs.KindOf(err) != c.kind || p.over != c.over || !strings.Contains(err.Error(), "nobody there") {
			t.Errorf("%s: %v, over %v", c.name, err, p.over)
		}
		s.givesUp, s.away = p.over, true
		if err := p.judge(start.Add(3*time.Minute), c.cfg, s, nil); err != nil || p.over != c.over {
			t.Errorf("%s, while it is away: %v", c.name, err)
		}
		s.away = false
		if err := p.judge(start.Add(4*time.Minute), c.cfg, s, nil); err != nil || p.over || !p.since.IsZero() || s.givesUp {
			t.Errorf("%s, once it is back: %v %+v", c.name, err, p)
		}
	}
}

package publisher

import (
	"time"

	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
)

// patience is errors.retry.timeout of a lane whose transforms or converters need a server: how long it may be away before that is an error of the records. The lane starts
// again with back-off meanwhile, so the time is counted over starts. Without the option it is waited for for ever, since no record is wrong.
type patience struct {
	since time.Time // the server was first not there; zero: it is
	over  bool      // errors.tolerance=all: the next start gives records up
}

// judge takes the outcome of a run of a stage, and returns it, or what it means by now.
func (p *patience) judge(now time.Time, cfg *config.Connector, s *stage, err error) error {
	if err == nil {
		if !s.away {
			*p, s.givesUp = patience{}, false
		}
		return nil
	}
	if errs.KindOf(err) != errs.Unavailable {
		return err
	}
	if p.since.IsZero() {
		p.since = now
	}
	timeout := cfg.Errors.RetryTimeout
	if timeout <= 0 || now.Sub(p.since) < timeout {
		return err
	}
	if cfg.ErrorsTolerance == "all" {
		p.over = true
		return err
	}
	return errs.E(errs.Invalid, "%s: errors.retry.timeout (%s) is over: %w", toleranceExceeded, timeout, err)
}

package snapshot

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rowmesh/rowmesh/capturer/throttle"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/source"
)

// loadEvery is how often the server's load is read where a limit asks for it: three statements of some tenths of a millisecond.
const loadEvery = time.Second

// ReadLoad asks a server how busy it is. What the account may not see counts as nothing, and is named in hidden with the privilege that shows it.
func ReadLoad(ctx context.Context, c *source.Conn) (load throttle.Load, hidden []string, err error) {
	number := func(what, column, sql string) (uint64, error) {
		res, err := c.Query(ctx, sql)
		if server := (*source.ServerError)(nil); errors.As(err, &server) {
			hidden = append(hidden, what)
			return 0, nil
		}
		if err != nil || len(res.Rows) == 0 {
			return 0, err
		}
		n, _ := strconv.ParseUint(res.Get(0, column), 10, 64) // NULL: a replica that does not run
		return n, nil
	}
	if load.ThreadsRunning, err = number("Threads_running", "Value", "SHOW GLOBAL STATUS LIKE 'Threads_running'"); err != nil {
		return load, hidden, err
	}
	history := "SELECT COUNT AS Value FROM information_schema.INNODB_METRICS WHERE NAME = 'trx_rseg_history_len'"
	replica, behind := "SHOW REPLICA STATUS", "Seconds_Behind_Source"
	if c.Flavor() == config.MariaDB {
		history = "SHOW GLOBAL STATUS LIKE 'Innodb_history_list_length'"
		replica, behind = "SHOW SLAVE STATUS", "Seconds_Behind_Master"
	}
	if load.HistoryLength, err = number("the length of the history (PROCESS)", "Value", history); err != nil {
		return load, hidden, err
	}
	const lag = "the lag of the replica (REPLICATION CLIENT)"
	seconds, err := number(lag, behind, replica)
	if slices.Contains(hidden, lag) && c.Flavor() == config.MySQL { // the new words came with 8.0.22
		hidden = slices.DeleteFunc(hidden, func(s string) bool { return s == lag })
		seconds, err = number(lag, "Seconds_Behind_Master", "SHOW SLAVE STATUS")
	}
	load.ReplicaLag = time.Duration(seconds) * time.Second
	return load, hidden, err
}

// watchLoad tells the throttle of the server's load, once before it returns and then until ctx ends; the function that it returns waits for that.
func (r *run) watchLoad(ctx context.Context, c *source.Conn) (wait func()) {
	if !r.Pace.WatchesLoad() {
		return func() {}
	}
	look := func(said bool) bool {
		load, hidden, err := ReadLoad(ctx, c)
		if err != nil {
			if ctx.Err() == nil {
				r.Log.Warn("the load of the server cannot be read any more; the snapshot goes on without regard to it", "source", r.Source.ID(), "error", err)
			}
			r.Pace.Seen(throttle.Load{})
			return false
		}
		if len(hidden) > 0 && !said {
			r.Log.Warn("limits on what the account cannot see do not hold", "source", r.Source.ID(), "user", r.Source.User, "hidden", strings.Join(hidden, ", "))
		}
		before := r.Pace.State().Resting
		r.Pace.Seen(load)
		if now := r.Pace.State().Resting; (now == "") != (before == "") {
			r.Log.Info("snapshot rests while the server is busy, or goes on", "source", r.Source.ID(), "reason", now)
		}
		return true
	}
	if !look(false) {
		return func() {}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for sleep(ctx, loadEvery) == nil && look(true) {
		}
	}()
	return func() { <-done }
}

package capturer

import (
	"strings"
	"sync"
	"time"

	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/gtid"
)

const (
	// aheadKept is how long a place is remembered that nobody asks for any more. Whoever tries again does so within minutes.
	aheadKept = 10 * time.Minute
	// aheadMost bounds the places that are remembered: more subscribers than that wait for no server, and one that is forgotten only waits anew.
	aheadMost = 256
)

// ahead knows the places that are ahead of what the server has executed, and since when. A transaction is in the log, and so with the subscribers, before it counts as
// executed: a primary with semi-synchronous replication first waits for a replica, 10 s by default (rpl_semi_sync_source_timeout), and a replica that is promoted
// may still have to apply what it has received. So a place that is ahead is no gap at once, and whoever asks for it is told to try again. It is one when nothing has
// changed for as long as the caller says.
//
// Safe for concurrent use.
type ahead struct {
	mu     sync.Mutex
	places map[string]*missing // by the GTIDs of the place
}

// missing is what a server lacks to be where a place is.
type missing struct {
	left  uint64    // transactions, the fewest so far
	since time.Time // it has become no less
	asked time.Time
}

// mayCome notes how many transactions the server lacks to be where a place is, and says whether they may still come: no longer than patience ago they became fewer.
func (a *ahead) mayCome(place string, left uint64, now time.Time, patience time.Duration) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	m := a.places[place]
	if m == nil {
		a.makeRoom(now)
		m = &missing{left: left, since: now}
		a.places[place] = m
	}
	m.asked = now
	// Only fewer than ever count as progress: two servers that answer by turns at one address, each with its own part, do not make any.
	if left < m.left {
		m.left, m.since = left, now
	}
	return now.Sub(m.since) < patience
}

// came notes that the server has what comes before a place.
func (a *ahead) came(place string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.places, place)
}

// makeRoom forgets places that nobody asks for, and the one asked for least recently if there are too many. Requires: mu.
func (a *ahead) makeRoom(now time.Time) {
	if a.places == nil {
		a.places = make(map[string]*missing)
	}
	oldest, when := "", now
	for place, m := range a.places {
		if now.Sub(m.asked) > aheadKept {
			delete(a.places, place)
		} else if !m.asked.After(when) {
			oldest, when = place, m.asked
		}
	}
	if len(a.places) >= aheadMost {
		delete(a.places, oldest)
	}
}

// left counts the transactions of lacks that executed does not have. Sets of MariaDB say of each domain how far it is; what is between counts.
func left(lacks, executed *gtid.Set) uint64 {
	domain := func(sid string) string {
		d, _, _ := strings.Cut(sid, "-")
		return d
	}
	reached := make(map[string]uint64)
	if lacks.Flavor() == config.MariaDB {
		executed.Range(func(sid string, _, last uint64) bool {
			reached[domain(sid)] = last
			return true
		})
	}
	var n uint64
	lacks.Range(func(sid string, first, last uint64) bool {
		n += last + 1 - max(first, reached[domain(sid)]+1)
		return true
	})
	return n
}

package check

import (
	"maps"
	"slices"
)

// money judges transfers between accounts, of I8: the changes of one transaction of the source move money and make none. A transaction of which O has a part alone,
// or a wrong value, changes the sum of all accounts, whatever lanes and partitions its rows are in.
type money struct {
	j *Judge
	// open holds what the changes seen so far of a transaction add up to, where that is not zero.
	open map[uint32]int64
	// from is the newest transaction that a snapshot row of an account may cover: of it and those before, O has what was changed later alone.
	from uint32
}

func (m *money) init() { m.open = map[uint32]int64{} }

func (m *money) event(e *Event, c *change) {
	if e.Moves == 0 || c == nil {
		return
	}
	if sum := m.open[c.txn] + e.Moves; sum != 0 {
		m.open[c.txn] = sum
	} else {
		delete(m.open, c.txn)
	}
}

// snapshot takes note of a snapshot row of an account.
func (m *money) snapshot(c *change) { m.from = max(m.from, c.txn) }

func (m *money) finish() {
	for _, txn := range slices.Sorted(maps.Keys(m.open)) {
		if txn > m.from {
			m.j.failTxn("I8", int(txn), "what the topics have of it changes the sum of all accounts by %d", m.open[txn])
		}
	}
}

package publisher

import (
	"maps"
	"slices"

	"github.com/rowmesh/rowmesh/publisher/convert"
	"github.com/rowmesh/rowmesh/services/offset"
)

// openTransaction is what the checkpoint keeps of the transaction that is open behind the last batch; nil if none is or nobody counts.
func openTransaction(e *convert.Encoder) *offset.Transaction {
	t := e.Transaction()
	if t == nil {
		return nil
	}
	out := &offset.Transaction{ID: t.ID, Events: map[string]uint64{}}
	for _, c := range t.Collections {
		out.Events[c.Name] = c.Events
	}
	return out
}

// resumed is the reverse.
func resumed(t *offset.Transaction) *convert.Transaction {
	if t == nil {
		return nil
	}
	out := &convert.Transaction{ID: t.ID}
	for _, table := range slices.Sorted(maps.Keys(t.Events)) {
		out.Collections = append(out.Collections, convert.Collection{Name: table, Events: t.Events[table]})
	}
	return out
}

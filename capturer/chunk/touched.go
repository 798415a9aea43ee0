package chunk

import "sync"

// Mark counts the transactions that ended before a place of the feed, from any start.
type Mark uint64

// keyOverhead is about what a key costs in a map besides its bytes: the string's header, the mark, and the map's own.
const keyOverhead = 64

// Touched remembers which rows the log has touched while windows are open, by the packed bytes of their keys. Safe for concurrent use: the reader of the log
// notes, whoever sends chunks asks.
type Touched struct {
	mu    sync.Mutex
	max   int
	ended Mark
	// windows counts the windows that are open, by the mark that they opened at.
	windows map[Mark]int
	tables  map[string]*touchedTable
	bytes   int
	swept   int  // bytes after the last sweep
	lost    Mark // windows that opened before this are broken: what they should know had no room
}

// touchedTable is what is known of one table that is watched.
type touchedTable struct {
	watchers int
	since    Mark            // complete for windows that opened here or later
	keys     map[string]Mark // the number, from 1, of the last transaction that touched the key
	broken   Mark            // windows that opened before this are broken
}

// NewTouched returns one that holds about max bytes of keys. When there are more, the windows that are open break.
func NewTouched(max int) *Touched {
	return &Touched{max: max, windows: make(map[Mark]int), tables: make(map[string]*touchedTable)}
}

// Watch begins to remember the rows of a table, until as many Unwatch. Requires: the reader is between two transactions.
func (t *Touched) Watch(table string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	w := t.tables[table]
	if w == nil {
		w = &touchedTable{since: t.ended, keys: make(map[string]Mark)}
		t.tables[table] = w
	}
	w.watchers++
}

// Unwatch ends a Watch.
func (t *Touched) Unwatch(table string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	w := t.tables[table]
	if w == nil {
		return
	}
	if w.watchers--; w.watchers > 0 {
		return
	}
	for k := range w.keys {
		t.bytes -= len(k) + keyOverhead
	}
	delete(t.tables, table)
}

// Watched says whether rows of a table are to be noted.
func (t *Touched) Watched(table string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.tables[table] != nil
}

// Note says that the transaction that is open touches rows with these keys: before and after images alike. The keys may be used again afterwards.
func (t *Touched) Note(table string, keys ...[]byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	w := t.tables[table]
	if w == nil || len(t.windows) == 0 {
		return
	}
	for _, k := range keys {
		if _, ok := w.keys[string(k)]; !ok {
			t.bytes += len(k) + keyOverhead
		}
		w.keys[string(k)] = t.ended + 1
	}
	if t.bytes > t.max && !t.sweep() {
		t.overflow()
	}
}

// overflow gives up what is known, and so all windows that are open.
func (t *Touched) overflow() {
	t.lost = t.ended + 1
	for _, w := range t.tables {
		clear(w.keys)
	}
	t.bytes, t.swept = 0, 0
}

// sweep forgets what no window asks for any more, and says whether there is room again.
func (t *Touched) sweep() bool {
	oldest, any := t.ended, false
	for m := range t.windows {
		if !any || m < oldest {
			oldest, any = m, true
		}
	}
	for _, w := range t.tables {
		for k, at := range w.keys {
			if !any || at <= oldest {
				delete(w.keys, k)
				t.bytes -= len(k) + keyOverhead
			}
		}
	}
	t.swept = t.bytes
	return t.bytes <= t.max/2
}

// Ended says that the transaction that was open has ended.
func (t *Touched) Ended() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended++
}

// Open opens a window at the place where the reader is. Requires: it is between two transactions.
func (t *Touched) Open() Mark {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.windows[t.ended]++
	return t.ended
}

// Hold opens one more window at the place of one that is open.
func (t *Touched) Hold(m Mark) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.windows[m]++
}

// Close closes a window.
func (t *Touched) Close(m Mark) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.windows[m]--; t.windows[m] <= 0 {
		delete(t.windows, m)
	}
	// Sweeping costs a walk, so it waits until half of what is there may be old.
	if len(t.windows) == 0 || t.bytes > 2*t.swept+t.max/16 {
		t.sweep()
	}
}

// Break says that what chunks of a table have read is of no use: its definition changes, or its rows go, with the statement that is open.
func (t *Touched) Break(table string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if w := t.tables[table]; w != nil {
		w.broken = t.ended + 1
	}
}

// View is what a window says of a table's rows at one moment.
type View struct {
	t      *Touched
	table  *touchedTable
	mark   Mark
	Broken bool // the chunk has to be read again
}

// At calls f with what the window opened at m knows of a table now. While f runs nothing is noted.
func (t *Touched) At(table string, m Mark, f func(v View)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	w := t.tables[table]
	v := View{t: t, table: w, mark: m, Broken: w == nil}
	if w != nil {
		v.Broken = m < w.since || m < t.lost || m < w.broken
	}
	f(v)
}

// Any says whether the window knows of any row of the table. It may say so of rows that were touched before it opened.
func (v View) Any() bool { return v.table != nil && len(v.table.keys) > 0 }

// Touched says whether a row was touched since the window opened.
func (v View) Touched(key []byte) bool { return v.table.keys[string(key)] > v.mark }

package chunk

import (
	"fmt"
	"maps"
	"os"
	"testing"
)

// A world is a table of three keys, its log, a server that shows a transaction later than it logs it and counts it as executed later still, a reader of the log with a queue to a
// pump, a consumer, and a copy of the table in two chunks. Every order of their steps is tried, with kills of everything but the server and the consumer in between.

const (
	modelKeys = 3
	absent    = -1
)

// change is a transaction: it sets a key, deletes it, or moves its row to another key, as an update from 'b' to 'B' does.
type change struct{ kind, key, to int8 }

const (
	set int8 = iota
	del
	move
)

var changes = []change{{set, 0, 0}, {set, 1, 0}, {del, 1, 0}, {move, 1, 2}, {move, 0, 1}}

type rows [modelKeys]int8

// apply carries out the n-th transaction.
func (r rows) apply(c change, n int) rows {
	switch c.kind {
	case set:
		r[c.key] = int8(n)
	case del:
		r[c.key] = absent
	case move:
		if r[c.to] == absent && r[c.key] != absent {
			r[c.to], r[c.key] = r[c.key], absent
		}
	}
	return r
}

// touches returns the keys of before and after images.
func (r rows) touches(c change) [][]byte {
	switch {
	case c.kind == move && (r[c.to] != absent || r[c.key] == absent), c.kind == del && r[c.key] == absent:
		return nil
	case c.kind == move:
		return [][]byte{{byte(c.key)}, {byte(c.to)}}
	}
	return [][]byte{{byte(c.key)}}
}

// chunks are the ranges, by their first key.
var chunks = []int{0, 1, modelKeys}

type step int8

const (
	idle step = iota
	opened
	viewed
	ready
)

type world struct {
	log                      [3]change
	logged, shown, executed  int8 // transactions
	reader, pump             int8
	kills                    int8
	touched                  *Touched
	done                     int8 // chunks
	at                       step
	mark                     Mark
	from, end, after, before int8 // window, H, pump's place, place of the reader as it began
	view                     rows
	consumer                 rows
}

// rules are what the copy obeys; tests break them one by one.
type rules struct {
	waitsForExecuted, waitsForEnd, notesBefore, queueCounts bool
	most                                                    int8 // transactions
	kills                                                   int8
}

func (w *world) table(n int8) rows {
	r := rows{0, 0, absent}
	for i := range n {
		r = r.apply(w.log[i], int(i)+1)
	}
	return r
}

func (w *world) clone() *world {
	c := *w
	t := w.touched
	c.touched = &Touched{max: t.max, ended: t.ended, windows: maps.Clone(t.windows), tables: map[string]*touchedTable{}, bytes: t.bytes, swept: t.swept, lost: t.lost}
	for k, v := range t.tables {
		x := *v
		x.keys = maps.Clone(v.keys)
		c.touched.tables[k] = &x
	}
	return &c
}

func newWorld() *world {
	w := &world{consumer: rows{absent, absent, absent}}
	w.begin()
	return w
}

// begin starts reader and copy anew, at the pump's place and behind the chunks that are done.
func (w *world) begin() {
	w.touched = NewTouched(1 << 20)
	w.reader, w.before = w.pump, w.pump
	w.touched.Watch("t")
	w.at, w.mark, w.from, w.end, w.after, w.view = idle, 0, 0, 0, 0, rows{}
}

// key tells worlds apart that may go on differently.
func (w *world) key() string {
	keys := [modelKeys]Mark{}
	for k, m := range w.touched.tables["t"].keys {
		if w.at != idle && m > w.mark {
			keys[k[0]] = 1
		}
	}
	return fmt.Sprint(w.log[:w.logged], w.shown, w.executed, w.reader, w.pump, w.kills, w.done, w.at, w.from, w.end, w.after, w.view, w.consumer, keys)
}

// next returns all worlds that one step leads to. It fails on a row that is not what the table holds at its place.
func (w *world) next(r rules) (out []*world, err error) {
	add := func(f func(c *world)) {
		c := w.clone()
		f(c)
		out = append(out, c)
	}
	if w.logged < r.most {
		for _, ch := range changes {
			add(func(c *world) { c.log[c.logged] = ch; c.logged++ })
		}
	}
	if w.shown < w.logged {
		add(func(c *world) { c.shown++ })
	}
	if w.executed < w.shown {
		add(func(c *world) { c.executed++ })
	}
	if w.reader < w.logged {
		add(func(c *world) {
			keys := c.table(c.reader).touches(c.log[c.reader])
			if !r.notesBefore && len(keys) > 1 {
				keys = keys[1:]
			}
			c.touched.Note("t", keys...)
			c.touched.Ended()
			c.reader++
		})
	}
	if w.pump < w.reader {
		add(func(c *world) {
			ch, before := c.log[c.pump], c.table(c.pump)
			for _, k := range before.touches(ch) {
				c.consumer[k[0]] = before.apply(ch, int(c.pump)+1)[k[0]]
			}
			c.pump++
		})
	}
	if w.kills < r.kills {
		add(func(c *world) { c.kills++; c.begin() })
	}
	if int(w.done) == len(chunks)-1 {
		return out, nil
	}
	switch {
	case w.at == idle:
		add(func(c *world) { c.mark, c.from, c.at = c.touched.Open(), c.reader, opened })
	case w.at == opened && (w.executed >= w.from || !r.waitsForExecuted):
		add(func(c *world) { c.view, c.end, c.at = c.table(c.shown), c.logged, viewed })
	case w.at == viewed && (w.reader >= w.end || !r.waitsForEnd):
		add(func(c *world) { c.after, c.at = c.reader, ready })
	case w.at == ready && (w.pump >= w.after || !r.queueCounts):
		add(func(c *world) {
			first, behind := chunks[c.done], chunks[c.done+1]
			here := c.table(c.pump)
			c.touched.At("t", c.mark, func(v View) {
				for k := first; k < behind; k++ {
					if c.view[k] == absent || v.Touched([]byte{byte(k)}) {
						continue
					}
					if here[k] != c.view[k] {
						err = fmt.Errorf("row %d is sent as %d where the table holds %d", k, c.view[k], here[k])
					}
					c.consumer[k] = c.view[k]
				}
			})
			c.touched.Close(c.mark)
			c.done, c.at, c.mark, c.from, c.end, c.after, c.view = c.done+1, idle, 0, 0, 0, 0, rows{}
		})
	}
	return out, err
}

// explore tries all orders, and returns the first violation.
func explore(r rules) (states int, err error) {
	seen := map[string]bool{}
	todo := []*world{newWorld()}
	for len(todo) > 0 {
		w := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if k := w.key(); seen[k] {
			continue
		} else {
			seen[k] = true
		}
		if int(w.done) == len(chunks)-1 && w.pump == w.logged && w.consumer != w.table(w.logged) {
			return len(seen), fmt.Errorf("the consumer has %v, the table %v, after %v", w.consumer, w.table(w.logged), w.log[:w.logged])
		}
		next, err := w.next(r)
		if err != nil {
			return len(seen), fmt.Errorf("%w, after %v", err, w.log[:w.logged])
		}
		todo = append(todo, next...)
	}
	return len(seen), nil
}

func TestModel(t *testing.T) {
	right := rules{waitsForExecuted: true, waitsForEnd: true, notesBefore: true, queueCounts: true, most: 2, kills: 1}
	if os.Getenv("ROWMESH_FULL") != "" { // some minutes
		right.most, right.kills = 3, 2
	}
	n, err := explore(right)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d states", n)
	for name, broken := range map[string]func(*rules){
		"a view that need not show what the feed has passed": func(r *rules) { r.waitsForExecuted = false },
		"rows before the end of the log behind their view":   func(r *rules) { r.waitsForEnd = false },
		"before images that are not noted":                   func(r *rules) { r.notesBefore = false },
		"rows before messages that are queued":               func(r *rules) { r.queueCounts = false },
	} {
		wrong := right
		wrong.most = 2
		broken(&wrong)
		if _, err := explore(wrong); err == nil {
			t.Errorf("%s: nothing is found", name)
		} else {
			t.Logf("%s: %v", name, err)
		}
	}
}

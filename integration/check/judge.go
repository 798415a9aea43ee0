package check

import (
	"fmt"
	"slices"
)

// ID names an invariant: "I1" to "I16".
type ID string

// Violation is one broken promise.
type Violation struct {
	Invariant ID `json:"invariant"`
	// Record is topic, partition and offset, or what else was judged.
	Record string `json:"record"`
	// Text says what is wrong, with the evidence.
	Text string `json:"text"`
}

func (v Violation) String() string { return fmt.Sprintf("%s: %s: %s", v.Invariant, v.Record, v.Text) }

// maxKept bounds what is kept of each invariant: the first ones tell, the number of all is counted.
const maxKept = 20

// Judge checks one run. Changes come first, then the rest in any order, then Finish.
type Judge struct {
	truth *truth
	rows  rows
	txns  transactions
	money money
	raw   producers
	life  life

	kept  map[ID][]Violation
	count map[ID]int
	// events counts what was judged.
	events, checkpoints, raws int
	owners                    []Owner
	samples                   []Sample
	faults                    []Fault
	stops                     []Stop
}

// New returns a judge of a run.
func New() *Judge {
	j := &Judge{truth: newTruth(), kept: map[ID][]Violation{}, count: map[ID]int{}}
	j.rows.j, j.txns.j, j.money.j, j.raw.j, j.life.j = j, j, j, j, j
	j.txns.init()
	j.money.init()
	j.raw.init()
	return j
}

// Change takes a change of R. The error says that R itself cannot be.
func (j *Judge) Change(c *Change) error { return j.truth.add(c) }

// Versions returns how many changes R has of a key.
func (j *Judge) Versions(table string, key int64) int {
	if k := j.truth.key(table, key); k != nil {
		return int(k.count())
	}
	return 0
}

// Event takes a committed record of a data topic.
func (j *Judge) Event(e *Event) {
	j.events++
	c := j.rows.event(e)
	j.txns.event(e, c)
	j.money.event(e, c)
	j.life.event(e)
}

// Checkpoint takes a committed checkpoint. Those of a partition come in the order of their offsets.
func (j *Judge) Checkpoint(c *Checkpoint) {
	j.checkpoints++
	j.txns.checkpoint(c)
}

// Raw takes a record or a marker of a partition, data or offsets, as read_uncommitted has it.
func (j *Judge) Raw(r *Raw) {
	j.raws++
	j.raw.take(r)
}

// Differs notes a partition in which a consumer of committed records sees something else than what markers have committed.
func (j *Judge) Differs(what string) {
	j.fail("I8", what, "a consumer of committed records sees something else than what is committed")
}

// Owner takes a confirmation.
func (j *Judge) Owner(o Owner) {
	j.owners = append(j.owners, o)
}

// Sample takes what was seen at a moment.
func (j *Judge) Sample(s Sample) {
	j.samples = append(j.samples, s)
	j.life.sample(s)
}

// Quiet says that the run has ended with a time in which nothing was written, long enough for lanes without rows to move on: all checkpoints must cover all of R.
func (j *Judge) Quiet() { j.txns.quiet = true }

// Fault notes a fault for the timeline.
func (j *Judge) Fault(f Fault) { j.faults = append(j.faults, f) }

// Stop takes an honest stop. It comes before the events, which it judges.
func (j *Judge) Stop(s Stop) {
	j.stops = append(j.stops, s)
	j.life.stop(s)
}

// Row takes a row that the source has at the end.
func (j *Judge) Row(r Row) { j.rows.row(r) }

// Finish judges what only the end shows and returns all.
func (j *Judge) Finish() *Report {
	j.rows.finish()
	j.txns.finish()
	j.money.finish()
	j.raw.finish()
	j.life.finish()
	r := &Report{Changes: j.truth.changes, Transactions: j.truth.txns, Events: j.events, Checkpoints: j.checkpoints, Raw: j.raws, Segments: len(j.txns.segments), Bound: j.txns.bound, Count: j.count,
		Owners: j.owners, Samples: j.samples, Faults: j.faults, Stops: j.stops, Commits: j.raw.timeline, Points: j.txns.points}
	for _, id := range All {
		r.Violations = append(r.Violations, j.kept[id]...)
	}
	return r
}

// All invariants.
var All = [...]ID{"I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I9", "I10", "I11", "I12", "I13", "I14", "I15", "I16"}

// fail notes a violation.
func (j *Judge) fail(id ID, record, format string, args ...any) {
	j.count[id]++
	if len(j.kept[id]) < maxKept {
		j.kept[id] = append(j.kept[id], Violation{id, record, fmt.Sprintf(format, args...)})
	}
}

func (j *Judge) failTxn(id ID, txn int, format string, args ...any) {
	j.fail(id, fmt.Sprintf("source transaction %d", txn), format, args...)
}

// Has reports that an invariant is broken.
func (r *Report) Has(ids ...ID) bool {
	return slices.ContainsFunc(ids, func(id ID) bool { return r.Count[id] > 0 })
}

func (e *Event) place() string { return fmt.Sprintf("%s/%d@%d", e.Topic, e.Partition, e.Offset) }

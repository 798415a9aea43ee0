package check

// Change is one committed row change, as R has it. Changes come in the order of the log.
type Change struct {
	Table string
	Key   int64
	// Version counts the changes of the key from 1; a delete has a version of its own.
	Version int64
	// Op is 'c', 'u' or 'd'.
	Op byte
	// Hash is that of the after image, for a delete of the before image.
	Hash uint64
	// Before is that of the image before an update or delete; 0 if unknown.
	Before uint64
	// Moves is by how much an update changes what an account holds; 0 in tables that hold no money.
	Moves int64
	// Txn is the number of the source transaction, from 1.
	Txn int
}

// Event is one committed record of a data topic.
type Event struct {
	Topic     string
	Partition int32
	Offset    int64
	Table     string
	Key       int64
	// Version as in Change; that of a snapshot row is the row's.
	Version int64
	// Op is 'c', 'u', 'd', or 'r' for a row of a snapshot.
	Op byte
	// Hash as in Change; that of a snapshot row may be 0, where a statement has changed its columns since the change. Before is that of the before image; 0 where there is none.
	Hash, Before uint64
	// Moves as in Change; Money says that the table holds money.
	Moves int64
	Money bool
	// Producer and Epoch wrote it.
	Producer int64
	Epoch    int16
	// Segment numbers the committed transactions of a partition, from 1: which marker made it visible.
	Segment int
	// AtMS is the record's time, milliseconds by the clock of its producer's process; 0 if unknown.
	AtMS int64
}

// Checkpoint is one committed checkpoint.
type Checkpoint struct {
	Partition int32
	Offset    int64
	// Lane is the record's key. Layout is the number of the layout that it belongs to.
	Lane   string
	Layout uint64
	// Txn is how many source transactions are before its place; Whole says that none is open there.
	Txn   int
	Whole bool
	// Snapshot: one is under way. Apart: some tables stand elsewhere. Its place does not bind then.
	Snapshot, Apart bool
	Producer        int64
	Epoch           int16
	// AtMS as in Event.
	AtMS int64
}

// Raw is one record or marker of a partition as read_uncommitted has it. A marker has Marker 'c' or 'a', a record 0.
type Raw struct {
	Topic     string
	Partition int32
	Offset    int64
	Producer  int64
	Epoch     int16
	Marker    byte
}

// Owner is one confirmation of a member that a lane is its own in a generation: a linearizable read of the register that says so.
type Owner struct {
	Lane       string
	Member     string
	Generation uint64
	// AtMS is a time, in milliseconds, at which the answer had come; AskedMS, before the question was sent, or 0 for the same time. All of a run are of one
	// clock, since whatever moment.
	AskedMS, AtMS int64
}

// Sample is what was seen of a run at one moment.
type Sample struct {
	AtMS int64
	// LagMS is the largest of any lane; negative if unknown.
	LagMS int64
	// Unowned lanes.
	Unowned int
	// Healed: the last fault was healed at least the liveness bound ago.
	Healed bool
}

// Fault is something that was done to the run, for the timeline.
type Fault struct {
	AtMS, UntilMS int64
	Name, Target  string
	// RecoveredMS is how long after all was healed what was committed since came in all lanes; 0 if it was not measured. GapMS is the longest time for which some
	// lane was behind, from the beginning of the fault on: for one that takes a moment, how long it took the others to take over.
	RecoveredMS, GapMS int64
}

// Stop is an honest stop of a lane.
type Stop struct {
	AtMS int64
	// Tables of the lane, and the last offset of each of their partitions ("topic/partition") when it was told.
	Ends map[string]int64
	// Code is the kind of the error, Text what users read; Position and Next say whether it names the place and how to go on.
	Code, Text     string
	Position, Next bool
}

// Row is one row that the source has at the end.
type Row struct {
	Table string
	Key   int64
	Hash  uint64
}

package publisher

import "github.com/rowmesh/rowmesh/services/errs"

// careful makes a lane deliver all that comes before a record that cannot be sent. What stood in the same Kafka transaction went away with it, so the next
// start streams one source transaction at a time and commits each, until it comes to the record again, or past it. The zero careful is a lane like any other.
type careful struct {
	left     int    // messages that are still committed one by one
	revision uint64 // of the config with which the lane failed: another one may have mended it
	asked    bool   // the stream brings a source transaction a message
}

// carefulMessages is how many messages are committed one by one: more than a Kafka transaction of a lane holds at any usual rate, and about a minute's worth, as
// a commit costs 6 ms.
const carefulMessages = 10_000

// failed tells of the error that ends a stream.
func (c *careful) failed(err error, revision uint64) {
	if errs.KindOf(err) == errs.Invalid {
		*c = careful{left: carefulMessages, revision: revision}
	}
}

// configured tells of the config of the next start.
func (c *careful) configured(revision uint64) {
	if c.revision != revision {
		*c = careful{}
	}
}

// open reports whether the next stream should bring a transaction a message. A snapshot is not cut: it is made again as a whole.
func (c *careful) open(snapshot bool) bool {
	c.asked = c.left > 0 && !snapshot
	return c.asked
}

// took counts a message, and reports whether it is committed at once.
func (c *careful) took() bool {
	if !c.asked || c.left == 0 {
		return false
	}
	c.left--
	return true
}

// over reports that the stream need not go on in this way.
func (c *careful) over() bool { return c.asked && c.left == 0 }

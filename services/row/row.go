package row

// Op is the operation of a group, spelled as Debezium's "op".
type Op byte

// Operations.
const (
	Create   Op = 'c'
	Update   Op = 'u'
	Delete   Op = 'd'
	Read     Op = 'r'
	Truncate Op = 't'
)

// Images returns the number of images in each row of the operation.
func (op Op) Images() int {
	switch op {
	case Update:
		return 2
	case Truncate:
		return 0
	}
	return 1
}

// Bits of Batch.group_flags.
const (
	PartialBefore = 1 << 0
	PartialAfter  = 1 << 1
)

// Bits of Batch.txn_flags.
const (
	TxnBegins = 1 << 0
	TxnEnds   = 1 << 1
)

package offset

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
)

// Incremental is what Debezium keeps of the incremental snapshots that run, so that it goes on with them where it takes the connector over.
type Incremental struct {
	Tables []IncrementalTable
	// LastKey and MaximumKey are Java's serialized keys of the first table: that of its last row sent, and the greatest of the table.
	LastKey, MaximumKey string
	// Correlation is the id of the newest signal.
	Correlation string
}

// IncrementalTable is a table that is not complete.
type IncrementalTable struct {
	ID          string  `json:"incremental_snapshot_collections_id"`
	Condition   *string `json:"incremental_snapshot_collections_additional_condition"`
	Surrogate   *string `json:"incremental_snapshot_collections_surrogate_key"`
	Correlation *string `json:"incremental_snapshot_collections_correlation_id"`
}

// The members of a value that hold an Incremental.
const (
	incrementalTables      = "incremental_snapshot_collections"
	incrementalLast        = "incremental_snapshot_primary_key"
	incrementalMaximum     = "incremental_snapshot_maximum_key"
	incrementalCorrelation = "incremental_snapshot_correlation_id"
)

// incremental returns what the token says of snapshots, as Debezium spells it; nil if none runs.
func (o *Offset) incremental() *Incremental {
	t := o.Resume()
	if t == nil {
		return nil
	}
	var out *Incremental
	for _, c := range t.Snapshots {
		if c.Id == "" { // the one that the subscription began with
			continue
		}
		if out == nil {
			out = &Incremental{LastKey: JavaKey(c.Border), MaximumKey: JavaKey(c.Last)}
		}
		id := c.Id
		table := IncrementalTable{ID: c.Table, Correlation: &id}
		if c.Condition != "" {
			condition := c.Condition
			table.Condition = &condition
		}
		if c.SurrogateKey != "" {
			surrogate := c.SurrogateKey
			table.Surrogate = &surrogate
		}
		out.Tables, out.Correlation = append(out.Tables, table), id
	}
	return out
}

// tables is the member that names them.
func (i *Incremental) tables() string {
	b, err := json.Marshal(i.Tables)
	if err != nil {
		return "[]" // strings alone
	}
	// Jackson does not escape what HTML does.
	return strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(b))
}

// decodeIncremental reads the tables that another program was snapshotting.
func decodeIncremental(tables, correlation string) ([]IncrementalTable, error) {
	if tables == "" {
		return nil, nil
	}
	var out []IncrementalTable
	if err := json.Unmarshal([]byte(tables), &out); err != nil {
		return nil, err
	}
	for i := range out {
		if out[i].Correlation == nil {
			out[i].Correlation = &correlation
		}
	}
	return out, nil
}

// Java's object streams, as far as keys need them: an Object[] of Integer, Long and String. See the Java Object Serialization Specification, chapter 6.
const (
	javaHead   = "aced0005"
	javaNull   = "70"
	javaArray  = "75720013" + "5b4c6a6176612e6c616e672e4f626a6563743b" + "90ce589f1073296c" + "02000078" + "70"
	javaInt    = "73720011" + "6a6176612e6c616e672e496e7465676572" + "12e2a0a4f7818738" + "020001" + "4900" + "0576616c7565"
	javaLong   = "7372000e" + "6a6176612e6c616e672e4c6f6e67" + "3b8be490cc8f23df" + "020001" + "4a00" + "0576616c7565"
	javaNumber = "78720010" + "6a6176612e6c616e672e4e756d626572" + "86ac951d0b94e08b" + "02000078" + "70"
	// handles are counted from here, one for each class and object written.
	javaHandles = 0x7e0000
)

// JavaKey serializes a key, given as SQL literals, as Debezium does: hexadecimal digits. A key with other values than integers and texts is null, with which Debezium
// reads the table from its beginning.
func JavaKey(literals []string) string {
	if len(literals) == 0 {
		return javaHead + javaNull
	}
	w := javaWriter{next: javaHandles + 2} // the class of the array, and the array
	w.out.WriteString(javaHead + javaArray)
	w.number(uint64(len(literals)), 4)
	for _, l := range literals {
		if !w.value(l) {
			return javaHead + javaNull
		}
	}
	return w.out.String()
}

// javaWriter writes the elements of one array.
type javaWriter struct {
	out                     strings.Builder
	next                    uint32 // handle of what is written next
	intClass, longClass, nu uint32 // handles of classes; 0: not written yet
}

func (w *javaWriter) number(v uint64, size int) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], v)
	w.out.WriteString(hex.EncodeToString(b[8-size:]))
}

// value writes one element. It reports false for what it cannot write.
func (w *javaWriter) value(literal string) bool {
	if strings.EqualFold(literal, "NULL") {
		w.out.WriteString(javaNull)
		return true
	}
	if v, err := strconv.ParseInt(literal, 10, 64); err == nil {
		if int64(int32(v)) == v {
			w.boxed(javaInt, &w.intClass)
			w.number(uint64(v), 4)
		} else {
			w.boxed(javaLong, &w.longClass)
			w.number(uint64(v), 8)
		}
		return true
	}
	text, ok := literalText(literal)
	if !ok || len(text) > 1<<16-1 {
		return false
	}
	w.out.WriteString("74")
	w.number(uint64(len(text)), 2)
	w.out.WriteString(hex.EncodeToString([]byte(text)))
	w.next++
	return true
}

// boxed begins an Integer or a Long: its class is described once, and referred to afterwards.
func (w *javaWriter) boxed(class string, handle *uint32) {
	if *handle != 0 {
		w.out.WriteString("7371")
		w.number(uint64(*handle), 4)
		w.next++ // the object
		return
	}
	w.out.WriteString(class)
	*handle = w.next
	w.next++
	// A field of a primitive type has no type string, so nothing else has a handle here.
	if w.nu == 0 {
		w.out.WriteString(javaNumber)
		w.nu = w.next
		w.next++
	} else {
		w.out.WriteString("7871")
		w.number(uint64(w.nu), 4)
	}
	w.next++ // the object
}

// literalText reads a text in single quotes. Java writes "modified UTF-8", which is UTF-8 but for NUL and what needs surrogates.
func literalText(literal string) (string, bool) {
	if len(literal) < 2 || literal[0] != '\'' || literal[len(literal)-1] != '\'' {
		return "", false
	}
	var b strings.Builder
	for s := literal[1 : len(literal)-1]; s != ""; {
		switch {
		case s[0] == '\\' && len(s) > 1:
			c := s[1]
			if i := strings.IndexByte("0bnrtZ", c); i >= 0 {
				c = "\x00\b\n\r\t\x1a"[i]
			}
			b.WriteByte(c)
			s = s[2:]
		case strings.HasPrefix(s, "''"):
			b.WriteByte('\'')
			s = s[2:]
		default:
			b.WriteByte(s[0])
			s = s[1:]
		}
	}
	for _, r := range b.String() {
		if r == 0 || r > 0xffff {
			return "", false
		}
	}
	return b.String(), true
}

// Snapshots returns the incremental snapshots that the token holds, in the order of their turns.
func (o *Offset) Snapshots() []*rowv1.SnapshotCursor {
	t := o.Resume()
	if t == nil {
		return nil
	}
	var out []*rowv1.SnapshotCursor
	for _, c := range t.Snapshots {
		if c.Id != "" {
			out = append(out, c)
		}
	}
	return out
}

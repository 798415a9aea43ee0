package offset

import (
	"encoding/base64"
	"encoding/json"
	"fmt"

	"google.golang.org/protobuf/proto"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
)

// Signals is what a lane keeps of the signals that it has taken, so that none is lost or followed twice when it starts again. What the capturer has of a snapshot is in
// the token; here is what it does not have yet.
type Signals struct {
	// Next is the offset of the first record of the signal topic that was not taken; 0: none was.
	Next int64
	// Pending are commands that the token does not know of yet, in order.
	Pending []*capturev1.SnapshotCommand
	// Blocking are the snapshots for which the stream is to wait, in order.
	Blocking []Blocking
}

// Blocking is a snapshot that is read while the stream waits.
type Blocking struct {
	ID string `json:"id"`
	// Tables are their names, "database.table".
	Tables []string `json:"tables"`
	// Selects are whole statements by table, where not all of it is wanted.
	Selects map[string]string `json:"selects,omitempty"`
	// GTID, ServerID and Thread are those of the transaction that the stream waits behind. The rows have them, as Debezium's have.
	GTID     string `json:"gtid,omitempty"`
	ServerID uint32 `json:"server,omitempty"`
	Thread   uint32 `json:"thread,omitempty"`
}

// Empty reports that there is nothing to keep.
func (s *Signals) Empty() bool {
	return s == nil || s.Next == 0 && len(s.Pending) == 0 && len(s.Blocking) == 0
}

// keptSignals is Signals as the record has them.
type keptSignals struct {
	Next     int64      `json:"next,omitempty"`
	Pending  [][]byte   `json:"pending,omitempty"`
	Blocking []Blocking `json:"blocking,omitempty"`
}

func (s *Signals) encode() string {
	if s.Empty() {
		return ""
	}
	k := keptSignals{Next: s.Next, Blocking: s.Blocking}
	for _, c := range s.Pending {
		b, err := proto.Marshal(c)
		if err != nil { // text that is not UTF-8, which a signal has been refused for
			continue
		}
		k.Pending = append(k.Pending, b)
	}
	b, err := json.Marshal(k)
	if err != nil {
		panic(fmt.Sprintf("offset: signals %+v: %v", k, err)) // strings and numbers alone
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

func decodeSignals(text string) (*Signals, error) {
	if text == "" {
		return nil, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil, err
	}
	var k keptSignals
	if err := json.Unmarshal(b, &k); err != nil {
		return nil, err
	}
	s := &Signals{Next: k.Next, Blocking: k.Blocking}
	for _, b := range k.Pending {
		c := &capturev1.SnapshotCommand{}
		if err := proto.Unmarshal(b, c); err != nil {
			return nil, err
		}
		s.Pending = append(s.Pending, c)
	}
	return s, nil
}

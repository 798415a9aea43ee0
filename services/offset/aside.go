package offset

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Aside is what a checkpoint says about tables that do not stand where it stands: those that stopped, and, while their rows are read again, all others. It is
// empty in nearly all records.
type Aside struct {
	// Tables that have a place of their own, sorted by name.
	Tables []Table
	// Others is what all other tables have up to, where that is more than the record's own place; nil otherwise.
	Others *Offset
	// Restart is the registry's number of the lane's last restart when the record was written: another one means that a user has asked for a restart since.
	Restart uint64
}

// Table is a table with a place of its own.
type Table struct {
	// Name is database.table.
	Name string
	// Stopped: its rows do not flow. Otherwise they flow again, behind At.
	Stopped bool
	// Text tells users why it stopped.
	Text string
	// At is what the table has up to; nil if no place in the log gives what it lacks, and only a new snapshot does.
	At *Offset
}

// Empty reports that all tables stand where the record stands.
func (a *Aside) Empty() bool { return len(a.Tables) == 0 && a.Others == nil }

// Find returns a table, or nil.
func (a *Aside) Find(name string) *Table {
	if i, ok := a.index(name); ok {
		return &a.Tables[i]
	}
	return nil
}

// With returns a copy in which t is what is said of its table.
func (a *Aside) With(t Table) Aside {
	out := *a
	out.Tables = slices.Clone(a.Tables)
	i, ok := out.index(t.Name)
	if ok {
		out.Tables[i] = t
	} else {
		out.Tables = slices.Insert(out.Tables, i, t)
	}
	return out
}

func (a *Aside) index(name string) (int, bool) {
	return slices.BinarySearchFunc(a.Tables, name, func(t Table, name string) int { return strings.Compare(t.Name, name) })
}

// asideRecord is how an Aside is written; places are record values of their own.
type asideRecord struct {
	Restart uint64          `json:"restart"`
	Others  json.RawMessage `json:"others,omitempty"`
	Tables  []tableRecord   `json:"tables,omitempty"`
}

type tableRecord struct {
	Name    string          `json:"name"`
	Stopped bool            `json:"stopped,omitempty"`
	Text    string          `json:"text,omitempty"`
	At      json.RawMessage `json:"at,omitempty"`
}

func (a *Aside) encode() string {
	r := asideRecord{Restart: a.Restart, Others: appendPlace(a.Others)}
	for _, t := range a.Tables {
		r.Tables = append(r.Tables, tableRecord{t.Name, t.Stopped, t.Text, appendPlace(t.At)})
	}
	// Marshal fails for raw members that are no JSON alone, and these were just written.
	b, _ := json.Marshal(r)
	return base64.RawURLEncoding.EncodeToString(b)
}

// appendPlace writes a place without what the record around it says of other tables.
func appendPlace(o *Offset) json.RawMessage {
	if o == nil {
		return nil
	}
	place := *o
	place.Aside = Aside{}
	return place.Append(nil)
}

func decodeAside(s string) (Aside, error) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return Aside{}, err
	}
	var r asideRecord
	if err := json.Unmarshal(b, &r); err != nil {
		return Aside{}, err
	}
	a := Aside{Restart: r.Restart}
	if a.Others, err = decodePlace(r.Others); err != nil {
		return Aside{}, err
	}
	for _, t := range r.Tables {
		at, err := decodePlace(t.At)
		if err != nil {
			return Aside{}, fmt.Errorf("place of table %s: %w", t.Name, err)
		}
		a = a.With(Table{Name: t.Name, Stopped: t.Stopped, Text: t.Text, At: at})
	}
	return a, nil
}

func decodePlace(b json.RawMessage) (*Offset, error) {
	if len(b) == 0 {
		return nil, nil
	}
	o, err := Decode(b)
	if err != nil {
		return nil, err
	}
	o.Aside = Aside{}
	return &o, nil
}

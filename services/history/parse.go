package history

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/rowmesh/rowmesh/services/offset"
)

// stored is a record as it stands in the topic.
type stored struct {
	Source *struct {
		Server *string `json:"server"`
	} `json:"source"`
	Position     json.RawMessage `json:"position"`
	TimeMS       int64           `json:"ts_ms"`
	Database     *string         `json:"databaseName"`
	DDL          *string         `json:"ddl"`
	TableChanges *[]storedChange `json:"tableChanges"`
}

type storedChange struct {
	Type       ChangeType `json:"type"`
	ID         string     `json:"id"`
	PreviousID string     `json:"previousId"`
	Table      *Table     `json:"table"`
	Comment    *string    `json:"comment"`
}

// Parse reads the value of a record. Its error says what is wrong with it.
func Parse(value []byte) (*Record, error) {
	var s stored
	dec := json.NewDecoder(bytes.NewReader(value))
	if err := dec.Decode(&s); err != nil {
		if strings.Contains(err.Error(), "unexpected EOF") {
			return nil, fmt.Errorf("it is cut off after %d bytes: %w", len(value), err)
		}
		return nil, fmt.Errorf("it is no JSON object of the schema history: %w", err)
	}
	if dec.More() {
		return nil, fmt.Errorf("something follows its JSON object, from byte %d on", dec.InputOffset())
	}
	switch {
	case s.Source == nil || s.Source.Server == nil:
		return nil, fmt.Errorf("it is none of a schema history: it has no source.server")
	case len(s.Position) == 0:
		return nil, fmt.Errorf("it is none of a schema history: it has no position")
	case s.DDL == nil && (s.TableChanges == nil || len(*s.TableChanges) == 0):
		return nil, fmt.Errorf("it holds neither a statement (ddl) nor tables (tableChanges)")
	}
	r := &Record{Server: *s.Source.Server, TimeMS: s.TimeMS}
	at, err := offset.Decode(s.Position)
	if err != nil {
		return nil, fmt.Errorf("its position %.200s is none: %w", s.Position, err)
	}
	if at.Source.GetFile() == "" && at.Source.GetGtids() == "" {
		return nil, fmt.Errorf("its position %.200s has neither file nor gtids", s.Position)
	}
	r.Position = at.Source
	if at.Transaction != nil {
		r.Transaction = at.Transaction.ID
	}
	if s.Database != nil {
		r.Database = *s.Database
	}
	if s.DDL != nil {
		r.Statement = *s.DDL
	}
	if s.TableChanges == nil {
		return r, nil
	}
	for i, c := range *s.TableChanges {
		change, err := c.change()
		if err != nil {
			return nil, fmt.Errorf("tableChanges[%d]: %w", i, err)
		}
		r.Changes = append(r.Changes, change)
	}
	return r, nil
}

func (c *storedChange) change() (Change, error) {
	out := Change{Type: c.Type, Model: c.Table}
	switch {
	case c.Type != Create && c.Type != Alter && c.Type != Drop:
		return out, fmt.Errorf("type is %q, want CREATE, ALTER or DROP", c.Type)
	case c.Type != Drop && c.Table == nil:
		return out, fmt.Errorf("%s of %s has no table", c.Type, c.ID)
	}
	var ok bool
	if out.Database, out.Table, ok = splitIdentifier(c.ID); !ok {
		return out, fmt.Errorf("id %s names no table of a database", c.ID)
	}
	if c.PreviousID != "" {
		if out.PreviousDatabase, out.PreviousTable, ok = splitIdentifier(c.PreviousID); !ok {
			return out, fmt.Errorf("previousId %s names no table of a database", c.PreviousID)
		}
	}
	if out.Model != nil {
		out.Model.Comment = c.Comment
		if len(out.Model.Columns) == 0 {
			return out, fmt.Errorf("table %s has no columns", c.ID)
		}
	}
	return out, nil
}

// splitIdentifier reads what identifier writes.
func splitIdentifier(id string) (database, table string, ok bool) {
	var parts []string
	for rest := id; rest != ""; {
		if rest[0] != '"' {
			return "", "", false
		}
		end := 1
		for ; end < len(rest); end++ {
			if rest[end] != '"' {
				continue
			}
			if end+1 < len(rest) && rest[end+1] == '"' {
				end++
				continue
			}
			break
		}
		if end >= len(rest) {
			return "", "", false
		}
		parts = append(parts, strings.ReplaceAll(rest[1:end], `""`, `"`))
		if rest = rest[end+1:]; rest != "" {
			if rest[0] != '.' || len(rest) == 1 {
				return "", "", false
			}
			rest = rest[1:]
		}
	}
	if len(parts) != 2 || parts[1] == "" {
		return "", "", false
	}
	return parts[0], parts[1], true
}

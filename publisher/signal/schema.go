package signal

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
)

// SchemaChanges are changes of tables that the signal schema-changes tells of. They are told to the schema change topic; how rows are read follows from the log and the
// server, which know the tables as they are.
type SchemaChanges struct {
	Database string
	Changes  []*capturev1.TableChange
}

// tableChange is an element of changes, as Debezium's schema history has it.
type tableChange struct {
	Type  string `json:"type"`
	ID    string `json:"id"`
	Table *struct {
		Charset *string       `json:"defaultCharsetName"`
		Key     []string      `json:"primaryKeyColumnNames"`
		Columns []tableColumn `json:"columns"`
		Comment *string       `json:"comment"`
	} `json:"table"`
}

type tableColumn struct {
	Name       string   `json:"name"`
	TypeName   string   `json:"typeName"`
	Expression *string  `json:"typeExpression"`
	Charset    *string  `json:"charsetName"`
	Length     *uint32  `json:"length"`
	Scale      *uint32  `json:"scale"`
	Position   uint32   `json:"position"`
	Optional   bool     `json:"optional"`
	Auto       bool     `json:"autoIncremented"`
	Generated  bool     `json:"generated"`
	Comment    *string  `json:"comment"`
	Default    *string  `json:"defaultValueExpression"`
	Members    []string `json:"enumValues"`
}

func parseChanges(text []byte) (*SchemaChanges, error) {
	var d struct {
		Database string        `json:"database"`
		Changes  []tableChange `json:"changes"`
	}
	if err := json.Unmarshal(text, &d); err != nil {
		return nil, fmt.Errorf("its data cannot be parsed: %w", err)
	}
	switch {
	case len(d.Changes) == 0:
		return nil, fmt.Errorf("the requested field 'changes' is missing from data")
	case d.Database == "":
		return nil, fmt.Errorf("the requested field 'database' is missing from data")
	}
	out := &SchemaChanges{Database: d.Database}
	for i := range d.Changes {
		c, err := d.Changes[i].change()
		if err != nil {
			return nil, fmt.Errorf("change %d: %w", i, err)
		}
		out.Changes = append(out.Changes, c)
	}
	return out, nil
}

func (t *tableChange) change() (*capturev1.TableChange, error) {
	kinds := map[string]capturev1.ChangeType{"CREATE": capturev1.ChangeType_CHANGE_TYPE_CREATE, "ALTER": capturev1.ChangeType_CHANGE_TYPE_ALTER, "DROP": capturev1.ChangeType_CHANGE_TYPE_DROP}
	kind, ok := kinds[strings.ToUpper(t.Type)]
	if !ok {
		return nil, fmt.Errorf("its type %q is none of CREATE, ALTER, DROP", t.Type)
	}
	parts := identifiers(t.ID)
	if len(parts) != 2 {
		return nil, fmt.Errorf(`its id %q is not "database"."table"`, t.ID)
	}
	c := &capturev1.TableChange{Type: kind, Database: parts[0], Table: parts[1]}
	if kind == capturev1.ChangeType_CHANGE_TYPE_DROP {
		return c, nil
	}
	if t.Table == nil || len(t.Table.Columns) == 0 {
		return nil, fmt.Errorf("the table %s has no columns", t.ID)
	}
	c.After = &rowv1.Table{Database: parts[0], Table: parts[1], Charset: deref(t.Table.Charset), Comment: t.Table.Comment}
	for i := range t.Table.Columns {
		c.After.Columns = append(c.After.Columns, t.Table.Columns[i].column())
	}
	for _, name := range t.Table.Key {
		i := slices.IndexFunc(c.After.Columns, func(c *rowv1.Column) bool { return c.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("the key column %q of %s is none of its columns", name, t.ID)
		}
		c.After.Key = append(c.After.Key, uint32(i))
	}
	return c, nil
}

func (t *tableColumn) column() *rowv1.Column {
	c := &rowv1.Column{Name: t.Name, TypeName: t.TypeName, TypeExpression: deref(t.Expression), Charset: deref(t.Charset), Length: t.Length, Scale: t.Scale, Position: t.Position,
		Nullable: t.Optional, AutoIncrement: t.Auto, Generated: t.Generated, Comment: t.Comment, HasDefault: t.Default != nil, DefaultExpression: t.Default,
		Unsigned: strings.Contains(t.TypeName, "UNSIGNED")}
	for _, m := range t.Members {
		if n := len(m); n >= 2 && m[0] == '\'' && m[n-1] == '\'' {
			m = strings.ReplaceAll(m[1:n-1], "''", "'")
		}
		c.Members = append(c.Members, m)
	}
	return c
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// identifiers splits "a"."b", where quotes inside are doubled; names without quotes do too.
func identifiers(id string) []string {
	var out []string
	for id != "" {
		name := ""
		if id[0] != '"' {
			name, id, _ = strings.Cut(id, ".")
			out = append(out, name)
			continue
		}
		end := quotedEnd(id, 0, false)
		if end < 0 {
			return nil
		}
		out = append(out, strings.ReplaceAll(id[1:end], `""`, `"`))
		if id = id[end+1:]; id != "" {
			if id[0] != '.' {
				return nil
			}
			id = id[1:]
		}
	}
	return out
}

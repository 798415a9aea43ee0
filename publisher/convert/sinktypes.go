package convert

import (
	"regexp"
	"slices"
	"strings"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/row"
)

// sinkTypes is Debezium's JdbcSinkDataTypesConverter, for sinks that make tables of what they read: integers that stand for booleans become int16 with 0 or 1, numbers
// that are approximate float64 (or float32), and texts say their character set in the schema. A column is changed by the first of these that selects it and that
// its type can have.
type sinkTypes struct {
	boolean, real, text []*regexp.Regexp // on database.table.column; empty: none
	short               bool             // treat.real.as.double=false
}

// sinkConverters reads the converters option; see booleanConverters.
func sinkConverters(raw map[string]string) ([]sinkTypes, error) {
	var out []sinkTypes
	for name := range strings.SplitSeq(raw["converters"], ",") {
		name = strings.TrimSpace(name)
		if !config.JDBCSinkConverter(strings.TrimSpace(raw[name+".type"])) {
			continue
		}
		s := sinkTypes{short: strings.EqualFold(raw[name+".treat.real.as.double"], "false")}
		for suffix, to := range map[string]*[]*regexp.Regexp{"boolean": &s.boolean, "real": &s.real, "string": &s.text} {
			option := name + ".selector." + suffix
			patterns, err := config.Patterns(raw[option])
			if err != nil {
				return nil, errs.E(errs.Invalid, "%s: %w", option, err)
			}
			if *to, err = anchoredList(option, patterns); err != nil {
				return nil, err
			}
		}
		out = append(out, s)
	}
	return out, nil
}

// apply changes a compiled column of a table (database.table).
func (s *sinkTypes) apply(table string, out *column) {
	name := table + "." + out.source.Name
	selected := func(list []*regexp.Regexp) bool {
		return slices.ContainsFunc(list, func(re *regexp.Regexp) bool { return re.MatchString(name) })
	}
	switch out.kind {
	case rowv1.Kind_KIND_INT, rowv1.Kind_KIND_UINT, rowv1.Kind_KIND_BIT:
		if selected(s.boolean) && (out.kind != rowv1.Kind_KIND_BIT || out.op == opBoolBit) {
			out.op = opFlag
			out.schema.plain("int16")
		}
	case rowv1.Kind_KIND_FLOAT32, rowv1.Kind_KIND_FLOAT64, rowv1.Kind_KIND_DECIMAL:
		if selected(s.real) {
			s.number(out)
		}
	case rowv1.Kind_KIND_STRING:
		if selected(s.text) {
			out.schema.plain("string")
			out.schema.parameters = []parameter{{"__debezium.source.column.character_set", out.source.Charset}}
		}
	}
}

// number makes a column approximate. A DECIMAL is as decimal.handling.mode=double has it, whichever of the two is asked for.
func (s *sinkTypes) number(out *column) {
	out.schema.plain("double")
	switch out.kind {
	case rowv1.Kind_KIND_FLOAT32:
		out.op = opFloat32Wide
		if s.short {
			out.op = opFloat32
			out.schema.plain("float")
		}
	case rowv1.Kind_KIND_FLOAT64:
		out.op = opFloat64
		if s.short {
			out.op = opFloat64Short
			out.schema.plain("float")
		}
	default:
		out.op = opDecimalDouble
	}
}

// appendFlag appends 1 for a number above zero, else 0.
func (c *column) appendFlag(dst []byte, cell *row.Cell) []byte {
	set := cell.Uint() > 0
	if c.kind == rowv1.Kind_KIND_INT {
		set = cell.Int() > 0
	}
	if set {
		return append(dst, '1')
	}
	return append(dst, '0')
}

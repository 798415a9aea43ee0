package convert

import (
	"regexp"
	"strings"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
)

// booleanConverter is Debezium's TinyIntOneToBooleanConverter: TINYINT(1), which BOOL is in what the server shows of it, becomes a boolean.
type booleanConverter struct {
	selector []*regexp.Regexp // on database.table.column; empty: all
	anyWidth bool             // length.checker=false: every TINYINT
}

// booleanConverters reads the converters option: a list of names, each with options of its own. Other classes than the one above are left to
// whoever reads the config.
func booleanConverters(raw map[string]string) ([]booleanConverter, error) {
	var out []booleanConverter
	for name := range strings.SplitSeq(raw["converters"], ",") {
		name = strings.TrimSpace(name)
		if !config.TinyIntConverter(strings.TrimSpace(raw[name+".type"])) {
			continue
		}
		c := booleanConverter{anyWidth: strings.EqualFold(raw[name+".length.checker"], "false")}
		option := name + ".selector"
		patterns, err := config.Patterns(raw[option])
		if err != nil {
			return nil, errs.E(errs.Invalid, "%s: %w", option, err)
		}
		if c.selector, err = anchoredList(option, patterns); err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

func (b *booleanConverter) selects(table string, c *rowv1.Column) bool {
	switch baseType(c) {
	case "TINYINT", "INT1":
		if !b.anyWidth && (c.Length == nil || *c.Length != 1) {
			return false
		}
	case "BOOL", "BOOLEAN":
	default:
		return false
	}
	for _, re := range b.selector {
		if re.MatchString(table + "." + c.Name) {
			return true
		}
	}
	return len(b.selector) == 0
}

package convert

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/row"
)

// ParseText makes a cell of what a SELECT in UTC returns for a column, as text: of BIT, ENUM and SET their number, of FLOAT its value as a double, of the others the
// column itself.
func ParseText(c *rowv1.Column, text []byte) ([]byte, error) {
	switch c.Kind {
	case rowv1.Kind_KIND_BYTES, rowv1.Kind_KIND_GEOMETRY, rowv1.Kind_KIND_VECTOR:
		return text, nil
	case rowv1.Kind_KIND_BIT, rowv1.Kind_KIND_ENUM, rowv1.Kind_KIND_SET:
		v, err := strconv.ParseUint(string(text), 10, 64)
		return row.AppendUint(nil, v), err
	case rowv1.Kind_KIND_YEAR: // whose two digits mean something in a default only
		v, err := strconv.ParseUint(string(text), 10, 16)
		return row.AppendUint(nil, v), err
	case rowv1.Kind_KIND_UUID:
		b, err := hex.DecodeString(strings.ReplaceAll(string(text), "-", ""))
		if err == nil && len(b) != 16 {
			err = fmt.Errorf("a UUID of %d bytes", len(b))
		}
		return b, err
	}
	return parseDefault(c, string(text))
}

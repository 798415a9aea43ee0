package row

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
)

// AppendJSONString appends s as a JSON string.
func AppendJSONString(dst []byte, s string) []byte {
	b, _ := json.Marshal(s) // a string cannot fail
	return append(dst, b...)
}

// AppendJSON appends a cell as people read it: numbers as numbers, decimals and times as strings, bytes as base64, JSON as it is. It is for tools,
// not for the hot path. Requires: the cell comes from an image of c's table version.
func AppendJSON(dst []byte, c *rowv1.Column, cell *Cell) []byte {
	if cell.Null || !cell.Present {
		return append(dst, "null"...)
	}
	switch c.Kind {
	case rowv1.Kind_KIND_INT:
		return strconv.AppendInt(dst, cell.Int(), 10)
	case rowv1.Kind_KIND_UINT, rowv1.Kind_KIND_YEAR, rowv1.Kind_KIND_BIT:
		return strconv.AppendUint(dst, cell.Uint(), 10)
	case rowv1.Kind_KIND_FLOAT32:
		return strconv.AppendFloat(dst, float64(math.Float32frombits(cell.Fixed32())), 'g', -1, 32)
	case rowv1.Kind_KIND_FLOAT64:
		return strconv.AppendFloat(dst, math.Float64frombits(cell.Fixed64()), 'g', -1, 64)
	case rowv1.Kind_KIND_JSON:
		if json.Valid(cell.Data) {
			return append(dst, cell.Data...)
		}
	case rowv1.Kind_KIND_VECTOR:
		return appendVector(dst, cell.Data)
	}
	return AppendJSONString(dst, Text(c, cell))
}

// Text returns a cell as SQL prints it; bytes as base64. Requires: as AppendJSON.
func Text(c *rowv1.Column, cell *Cell) string {
	switch c.Kind {
	case rowv1.Kind_KIND_DECIMAL:
		return decimalText(cell.Data, int(c.GetScale()))
	case rowv1.Kind_KIND_DATE:
		y, m, d := UnpackDate(cell.Uint())
		return fmt.Sprintf("%04d-%02d-%02d", y, m, d)
	case rowv1.Kind_KIND_DATETIME:
		date, hh, mm, ss, us := UnpackDatetime(cell.Fixed64())
		y, m, d := UnpackDate(date)
		return fmt.Sprintf("%04d-%02d-%02d %02d:%02d:%02d", y, m, d, hh, mm, ss) + fraction(us, int(c.GetLength()))
	case rowv1.Kind_KIND_TIMESTAMP:
		if cell.Int() == 0 {
			return "0000-00-00 00:00:00"
		}
		t := time.UnixMicro(cell.Int()).UTC()
		return t.Format("2006-01-02T15:04:05") + fraction(t.Nanosecond()/1000, int(c.GetLength())) + "Z"
	case rowv1.Kind_KIND_TIME:
		us, sign := cell.Int(), ""
		if us < 0 {
			us, sign = -us, "-"
		}
		s := us / 1e6
		return fmt.Sprintf("%s%02d:%02d:%02d", sign, s/3600, s/60%60, s%60) + fraction(int(us%1e6), int(c.GetLength()))
	case rowv1.Kind_KIND_ENUM:
		if i := cell.Uint(); i > 0 && i <= uint64(len(c.Members)) {
			return c.Members[i-1]
		}
		return ""
	case rowv1.Kind_KIND_SET:
		var in []string
		for i, m := range c.Members {
			if cell.Uint()>>i&1 == 1 {
				in = append(in, m)
			}
		}
		return strings.Join(in, ",")
	case rowv1.Kind_KIND_UUID:
		h := hex.EncodeToString(cell.Data)
		return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
	case rowv1.Kind_KIND_BYTES, rowv1.Kind_KIND_GEOMETRY:
		return base64.StdEncoding.EncodeToString(cell.Data)
	}
	return string(cell.Data)
}

// fraction prints microseconds with the column's digits.
func fraction(us, digits int) string {
	if digits == 0 {
		return ""
	}
	return "." + fmt.Sprintf("%06d", us)[:min(digits, 6)]
}

func decimalText(data []byte, scale int) string {
	v := new(big.Int).SetBytes(data)
	if len(data) > 0 && data[0]&0x80 != 0 {
		v.Sub(v, new(big.Int).Lsh(big.NewInt(1), uint(8*len(data))))
	}
	s := new(big.Int).Abs(v).String()
	if len(s) <= scale {
		s = strings.Repeat("0", scale-len(s)+1) + s
	}
	if scale > 0 {
		s = s[:len(s)-scale] + "." + s[len(s)-scale:]
	}
	if v.Sign() < 0 {
		s = "-" + s
	}
	return s
}

func appendVector(dst, data []byte) []byte {
	dst = append(dst, '[')
	for i := 0; i+4 <= len(data); i += 4 {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendFloat(dst, float64(math.Float32frombits(binary.LittleEndian.Uint32(data[i:]))), 'g', -1, 32)
	}
	return append(dst, ']')
}

package chunk

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/rowmesh/rowmesh/services/row"
)

// timestampText spells an instant, microseconds since the Unix epoch, as a session in UTC reads it.
func timestampText(us int64) string {
	if us == 0 {
		return "0000-00-00 00:00:00"
	}
	t := time.UnixMicro(us).UTC()
	return t.Format("2006-01-02 15:04:05") + fmt.Sprintf(".%06d", t.Nanosecond()/1000)
}

func float32From(c *row.Cell) float32 {
	return math.Float32frombits(binary.LittleEndian.Uint32(c.Data))
}

func float64From(c *row.Cell) float64 {
	return math.Float64frombits(binary.LittleEndian.Uint64(c.Data))
}

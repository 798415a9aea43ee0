package history

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/rowmesh/rowmesh/integration/check"
)

// Owners reads from publishers' logs when lanes began to run: each has asked etcd before, with a linearizable read, whether the lane is its own, at a time that the
// line says. The line's own time is after the answer.
func Owners(connector string, files ...string) ([]check.Owner, error) {
	var out []check.Owner
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		out, err = owners(out, f, connector)
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return out, nil
}

func owners(out []check.Owner, r io.Reader, connector string) ([]check.Owner, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 4<<20) // a line with the trace of an error
	for lines.Scan() {
		line := lines.Text()
		if !strings.Contains(line, `msg="lane runs"`) || attribute(line, "connector") != connector {
			continue
		}
		at, err := time.Parse(time.RFC3339Nano, attribute(line, "time"))
		if err != nil {
			return nil, fmt.Errorf("line %q: %w", line, err)
		}
		asked, err := time.Parse(time.RFC3339Nano, attribute(line, "confirmed"))
		if err != nil {
			return nil, fmt.Errorf("line %q: %w", line, err)
		}
		generation, err := strconv.ParseUint(attribute(line, "generation"), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("line %q: %w", line, err)
		}
		out = append(out, check.Owner{Lane: connector + "/" + attribute(line, "task"), Member: attribute(line, "member"), Generation: generation,
			AskedMS: asked.UnixMilli(), AtMS: at.UnixMilli()})
	}
	return out, lines.Err()
}

// attribute returns the value of a name=value of a log line without quotes.
func attribute(line, name string) string {
	_, after, _ := strings.Cut(" "+line, " "+name+"=")
	value, _, _ := strings.Cut(after, " ")
	return value
}

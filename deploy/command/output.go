package command

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"
	"sigs.k8s.io/yaml"

	"github.com/rowmesh/rowmesh/services/errs"
)

// output is how a command prints what it has found: -o, and --watch where the thing moves.
type output struct {
	format   string
	watch    bool
	interval time.Duration
}

func (o *output) flags(f *pflag.FlagSet, moves bool) {
	f.StringVarP(&o.format, "output", "o", "table", "table, wide, json, yaml or name")
	if moves {
		f.BoolVarP(&o.watch, "watch", "w", false, "print again whenever it changes, until interrupted")
		f.DurationVar(&o.interval, "interval", time.Second, "how often --watch looks")
	}
}

// listing is what people read. Cells from wide on are shown with -o wide only.
type listing struct {
	head  []string
	wide  int // 0: all are always shown
	names []string
	rows  [][]string
}

// row adds a row of something that has a name.
func (t *listing) row(name string, cells ...string) {
	t.names, t.rows = append(t.names, name), append(t.rows, cells)
}

// print prints a document, or the table of it.
func (o *output) print(w io.Writer, document any, t listing) error {
	switch o.format {
	case "json":
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		return e.Encode(document)
	case "yaml":
		b, err := yaml.Marshal(document)
		if err != nil {
			return err
		}
		_, err = w.Write(b)
		return err
	case "name":
		for _, n := range t.names {
			fmt.Fprintln(w, n)
		}
		return nil
	case "table", "wide":
		tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
		for _, r := range append([][]string{t.head}, t.rows...) {
			if t.wide > 0 && o.format == "table" {
				r = r[:t.wide]
			}
			fmt.Fprintln(tw, strings.Join(r, "\t"))
		}
		return tw.Flush()
	}
	return errs.E(errs.Invalid, "-o %s: it is table, wide, json, yaml or name", o.format)
}

// show prints what f writes: once, or with --watch whenever it is not what was printed last. On a terminal the new one takes the place of the old.
func (o *output) show(ctx context.Context, w io.Writer, f func(io.Writer) error) error {
	if !o.watch {
		return f(w)
	}
	terminal := isTerminal(w)
	var last []byte
	for {
		var now bytes.Buffer
		if err := f(&now); err != nil {
			return err
		}
		if !bytes.Equal(now.Bytes(), last) {
			if terminal {
				fmt.Fprint(w, "\x1b[H\x1b[2J")
			}
			if _, err := w.Write(now.Bytes()); err != nil {
				return err
			}
			last = now.Bytes()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(max(o.interval, 10*time.Millisecond)):
		}
	}
}

func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// raw is a JSON document that is printed as it came.
func raw(b []byte) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	err = d.Decode(&v)
	return v, err
}

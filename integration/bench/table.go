package main

import (
	"fmt"
	"io"
	"slices"
)

// table is the results of one kind of measure.
type table struct {
	title   string
	columns []string
	lines   []line
}

// line is one system's result of one measure. The note says what a number consists of.
type line struct {
	system, measure string
	values          []float64
	note            string
}

// add keeps a line and shows it.
func (t *table) add(w io.Writer, l line) {
	t.lines = append(t.lines, l)
	t.show(w, l, "%10.2f")
}

func (t *table) show(w io.Writer, l line, format string) {
	fmt.Fprintf(w, "%-10s %-28s", l.system, l.measure)
	for _, v := range l.values {
		fmt.Fprintf(w, format, v)
	}
	fmt.Fprintf(w, "  %s\n", l.note)
}

// print shows all lines and, where two systems have the same measure, the first divided by the second.
func (t *table) print(w io.Writer) {
	if len(t.lines) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%-39s", t.title)
	for _, c := range t.columns {
		fmt.Fprintf(w, "%10s", c)
	}
	fmt.Fprintln(w)
	for i, l := range t.lines {
		t.show(w, l, "%10.2f")
		first := slices.IndexFunc(t.lines, func(o line) bool { return o.measure == l.measure })
		if first == i || t.lines[first].system == l.system {
			continue
		}
		ratio := line{system: "", measure: "  " + t.lines[first].system + " : " + l.system}
		for j, v := range t.lines[first].values {
			ratio.values = append(ratio.values, v/l.values[j])
		}
		t.show(w, ratio, "%9.2fx")
	}
}

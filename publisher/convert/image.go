package convert

import (
	"errors"
	"fmt"

	"github.com/rowmesh/rowmesh/services/row"
)

// appendNull appends what NULL prints in a field.
func appendNull(dst []byte, f *field) ([]byte, error) {
	if f.null == nil {
		return dst, columnError{f.source.Name, errors.New("NULL in a column that is NOT NULL and has neither a default nor a value to stand in")}
	}
	return append(dst, f.null...), nil
}

// appendCell appends a cell that is present and not NULL, and follows event.converting.failure.handling.mode where it cannot be converted.
func (e *Encoder) appendCell(dst []byte, f *field, cell *row.Cell, out *Output) ([]byte, error) {
	start := len(dst)
	dst, err := f.appendValue(dst, cell, e.group.trim)
	if err == nil {
		return dst, nil
	}
	return e.replace(dst[:start], f, err, out)
}

// replace appends what stands for a value that could not be converted.
func (e *Encoder) replace(dst []byte, f *field, err error, out *Output) ([]byte, error) {
	if err == errNullDate {
		if f.zero != nil && !e.group.trim {
			return append(dst, f.zero...), nil
		}
		return appendNull(dst, f)
	}
	if e.cfg.ConvertFailure == "fail" {
		return dst, columnError{f.source.Name, fmt.Errorf("%w; event.converting.failure.handling.mode=warn would send null in its place", err)}
	}
	if !f.schema.optional && f.def == nil {
		return dst, columnError{f.source.Name, fmt.Errorf("%w, and the column is NOT NULL, so that null cannot stand in its place; "+
			"change the mode that its type is converted in, or leave it out with column.exclude.list", err)}
	}
	if e.cfg.ConvertFailure != "skip" {
		out.Warned++
		if len(out.Warnings) < maxWarnings {
			out.Warnings = append(out.Warnings, e.rowError(columnError{f.source.Name, err}))
		}
	}
	return append(dst, f.null...), nil
}

// appendField appends the value of a field in an image. absent is what it prints where the image lacks it.
func (e *Encoder) appendField(dst []byte, f *field, cell *row.Cell, absent []byte, out *Output) ([]byte, error) {
	switch {
	case !cell.Present:
		return append(dst, absent...), nil
	case cell.Null:
		return appendNull(dst, f)
	}
	return e.appendCell(dst, f, cell, out)
}

// appendImage appends the struct of one image. inserted says that absent columns have their defaults.
func (e *Encoder) appendImage(cells []row.Cell, inserted bool, out *Output) error {
	dst := append(out.Arena, '{')
	fields := e.group.plan.value
	for i := range fields {
		f := &fields[i]
		absent := f.absent
		if inserted {
			absent = f.inserted
		}
		var err error
		if dst, err = e.appendField(append(dst, f.open...), f, &cells[f.index], absent, out); err != nil {
			return err
		}
	}
	out.Arena = append(dst, '}')
	return nil
}

// appendImages appends before and after of an update. Values that did not change are copied from before, which costs less than writing them again.
func (e *Encoder) appendImages(out *Output) error {
	fields := e.group.plan.value
	before, after := e.cells[0], e.cells[1]
	if cap(e.ends) < len(fields)+1 {
		e.ends = make([]int, len(fields)+1)
	}
	ends := e.ends[:len(fields)+1]
	dst := append(out.Arena, '{')
	ends[0] = len(dst)
	var err error
	for i := range fields {
		f := &fields[i]
		if dst, err = e.appendField(append(dst, f.open...), f, &before[f.index], f.absent, out); err != nil {
			return err
		}
		ends[i+1] = len(dst)
	}
	dst = append(dst, `},"after":{`...)
	for i := range fields {
		f := &fields[i]
		cell := &after[f.index]
		if sameCell(&before[f.index], cell) {
			dst = append(dst, dst[ends[i]:ends[i+1]]...)
			continue
		}
		if dst, err = e.appendField(append(dst, f.open...), f, cell, f.absent, out); err != nil {
			return err
		}
	}
	out.Arena = append(dst, '}')
	return nil
}

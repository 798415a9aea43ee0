package converter

import (
	"bytes"
)

// avroText renders a schema. A record is written where it comes first, and named where it comes again; a namespace is left out where it is
// that of the record around.
type avroText struct {
	dst   []byte
	known map[string][]byte // by full name, as it was written
}

func renderAvro(t *avroType) string {
	w := avroText{known: map[string][]byte{}}
	w.typ(t, "")
	return string(w.dst)
}

func (w *avroText) typ(t *avroType, space string) {
	switch t.kind {
	case "union":
		w.dst = append(w.dst, '[')
		for i, branch := range t.branches {
			if i > 0 {
				w.dst = append(w.dst, ',')
			}
			w.typ(branch, space)
		}
		w.dst = append(w.dst, ']')
		return
	case "record":
		w.record(t, space)
		return
	}
	if len(t.props) == 0 && t.items == nil {
		w.dst = appendJSONText(w.dst, t.kind)
		return
	}
	w.dst = appendJSONText(append(w.dst, `{"type":`...), t.kind)
	switch t.kind {
	case "array":
		w.dst = append(w.dst, `,"items":`...)
		w.typ(t.items, space)
	case "map":
		w.dst = append(w.dst, `,"values":`...)
		w.typ(t.items, space)
	}
	w.props(t.props)
	w.dst = append(w.dst, '}')
}

func (w *avroText) record(t *avroType, space string) {
	full := t.fullName()
	if before, ok := w.known[full]; ok && (before == nil || bytes.Equal(before, w.alone(t))) {
		if t.space == space {
			full = t.name
		}
		w.dst = appendJSONText(w.dst, full)
		return
	}
	w.known[full] = nil // within itself
	w.dst = appendJSONText(append(w.dst, `{"type":"record","name":`...), t.name)
	if t.space != space && t.space != "" {
		w.dst = appendJSONText(append(w.dst, `,"namespace":`...), t.space)
	}
	if t.doc != "" {
		w.dst = appendJSONText(append(w.dst, `,"doc":`...), t.doc)
	}
	w.dst = append(w.dst, `,"fields":[`...)
	for i := range t.fields {
		if i > 0 {
			w.dst = append(w.dst, ',')
		}
		w.field(&t.fields[i], t.space)
	}
	w.dst = append(w.dst, ']')
	w.props(t.props)
	w.dst = append(w.dst, '}')
	w.known[full] = w.alone(t)
}

// alone renders a record as if nothing were known, to compare it with another.
func (w *avroText) alone(t *avroType) []byte {
	other := avroText{known: map[string][]byte{t.fullName(): []byte("-")}}
	for i := range t.fields {
		other.field(&t.fields[i], "")
	}
	other.props(t.props)
	return other.dst
}

func (w *avroText) field(f *avroField, space string) {
	w.dst = appendJSONText(append(w.dst, `{"name":`...), f.name)
	w.dst = append(w.dst, `,"type":`...)
	w.typ(f.typ, space)
	if f.doc != nil {
		w.dst = appendJSONText(append(w.dst, `,"doc":`...), *f.doc)
	}
	if f.def != nil {
		w.dst = append(append(w.dst, `,"default":`...), f.def...)
	}
	w.props(f.props)
	w.dst = append(w.dst, '}')
}

func (w *avroText) props(props []avroProp) {
	for _, p := range props {
		w.dst = append(appendJSONText(append(w.dst, ','), p.name), ':')
		w.dst = append(w.dst, p.value...)
	}
}

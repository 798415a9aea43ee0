package conformance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// paths tells two JSON texts apart by the first so many fields: "payload.after.d: null, want 10957". Texts whose fields are the same give nothing.
func paths(want, got string, most int) string {
	w, ok := decode(want)
	g, ok2 := decode(got)
	if !ok || !ok2 {
		return ""
	}
	var out []string
	walk("", w, g, func(path, want, got string) {
		out = append(out, fmt.Sprintf("\n    %s: %.300s, want %.300s", strings.TrimPrefix(path, "."), got, want))
	})
	if len(out) > most {
		out = append(out[:most], fmt.Sprintf("\n    and %d fields more", len(out)-most))
	}
	return strings.Join(out, "")
}

func decode(s string) (any, bool) {
	_, s, _ = strings.Cut(s, "=")
	s = strings.ReplaceAll(s, `:#`, `:"#"`) // masked numbers
	d := json.NewDecoder(bytes.NewBufferString(s))
	d.UseNumber()
	var v any
	err := d.Decode(&v)
	return v, err == nil
}

// walk calls differ for each leaf that differs. Fields of a schema go by their names.
func walk(path string, want, got any, differ func(path, want, got string)) {
	switch w := want.(type) {
	case map[string]any:
		if g, ok := got.(map[string]any); ok {
			for _, k := range union(w, g) {
				walk(path+"."+k, w[k], g[k], differ)
			}
			return
		}
	case []any:
		if g, ok := got.([]any); ok && len(g) == len(w) {
			for i := range w {
				at := fmt.Sprint(i)
				if m, ok := w[i].(map[string]any); ok && m["field"] != nil {
					at = fmt.Sprint(m["field"])
				}
				walk(path+"."+at, w[i], g[i], differ)
			}
			return
		}
	}
	if a, b := text(want), text(got); a != b {
		differ(path, a, b)
	}
}

func union(a, b map[string]any) []string {
	var out []string
	for k := range a {
		out = append(out, k)
	}
	for k := range b {
		if _, ok := a[k]; !ok {
			out = append(out, k)
		}
	}
	slices.Sort(out)
	return out
}

func text(v any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err.Error()
	}
	return strings.TrimSuffix(b.String(), "\n")
}

package connect

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"unicode/utf16"

	"github.com/rowmesh/rowmesh/services/offset"
	"github.com/rowmesh/rowmesh/services/registry"
)

const (
	alteredText = "The Connect framework-managed offsets for this connector have been altered successfully. However, if this connector manages offsets externally, they will need to be manually altered in the system that the connector uses."
	resetText   = "The Connect framework-managed offsets for this connector have been reset successfully. However, if this connector manages offsets externally, they will need to be manually reset in the system that the connector uses."
	offsetsForm = `{"offsets": [{"partition": {"server": "<topic.prefix>"}, "offset": {"file": "...", "pos": 4}}]}; a null offset removes one`
)

func (h *Handler) getOffsets(r *request) reply {
	name := r.names[0]
	if _, err := h.control.Get(r.Context(), name); err != nil {
		return failed(err, notFound(name))
	}
	var entries []offset.Entry
	if h.offsets != nil {
		var err error
		if entries, err = h.offsets.List(r.Context(), name); err != nil {
			return failed(err, notFound(name))
		}
	}
	entries = slices.DeleteFunc(entries, offset.Entry.Copy)
	slices.SortFunc(entries, func(a, b offset.Entry) int { return bytes.Compare(a.Partition, b.Partition) })
	b := append(appendMember([]byte{'{'}, "offsets"), '[')
	for i, e := range entries {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendMember(append(b, '{'), "partition"), javaOrder(e.Partition)...)
		b = append(append(appendMember(b, "offset"), javaOrder(offset.Public(e.Value))...), '}')
	}
	return document(http.StatusOK, append(b, "]}"...))
}

// stopped refuses to change the offsets of a connector that may be using them.
func (h *Handler) stopped(r *request) *reply {
	name := r.names[0]
	c, err := h.control.Get(r.Context(), name)
	if err != nil {
		a := failed(err, notFound(name))
		return &a
	}
	if c.Target != registry.Stopped || len(c.Tasks) > 0 {
		a := failure(http.StatusBadRequest, fmt.Sprintf("Connectors must be in the STOPPED state before their offsets can be modified. This can be done for the specified connector by issuing a 'PUT' request to the '/connectors/%s/stop' endpoint", name))
		return &a
	}
	if h.offsets == nil {
		a := failure(http.StatusNotImplemented, "This coordinator has no connection to the offsets topic; ask one that has")
		return &a
	}
	return nil
}

func (h *Handler) alterOffsets(r *request) reply {
	entries, refused := readOffsets(r)
	if refused != nil {
		return *refused
	}
	if refused := h.stopped(r); refused != nil {
		return *refused
	}
	return h.putOffsets(r, entries, alteredText)
}

func (h *Handler) resetOffsets(r *request) reply {
	if refused := h.stopped(r); refused != nil {
		return *refused
	}
	entries, err := h.offsets.List(r.Context(), r.names[0])
	if err != nil {
		return failed(err, notFound(r.names[0]))
	}
	for i := range entries {
		entries[i].Value = nil
	}
	return h.putOffsets(r, entries, resetText)
}

func (h *Handler) putOffsets(r *request, entries []offset.Entry, done string) reply {
	if len(entries) > 0 {
		if err := h.offsets.Put(r.Context(), r.names[0], entries); err != nil {
			return failed(err, notFound(r.names[0]))
		}
		h.cfg.Log.Info("connector offsets changed", "connector", r.names[0], "offsets", len(entries))
	}
	return document(http.StatusOK, append(appendText([]byte{'{'}, "message", done), '}'))
}

// readOffsets reads the body of an alter request.
func readOffsets(r *request) ([]offset.Entry, *reply) {
	refuse := func(message string) ([]offset.Entry, *reply) {
		a := failure(http.StatusBadRequest, message)
		return nil, &a
	}
	var body struct {
		Offsets []*struct {
			Partition json.RawMessage `json:"partition"`
			Offset    json.RawMessage `json:"offset"`
		} `json:"offsets"`
	}
	raw, refused := r.readRaw(offsetsForm)
	if refused != nil {
		return nil, refused
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&body); err != nil {
		return refuse(fmt.Sprintf("The request body does not hold offsets: %v; send %s", err, offsetsForm))
	}
	if len(body.Offsets) == 0 {
		return refuse("Partitions / offsets need to be provided for an alter offsets request")
	}
	var out []offset.Entry
	for _, o := range body.Offsets {
		if o == nil {
			return refuse("An offset is null; send " + offsetsForm)
		}
		partition, wrong := flat(o.Partition)
		var value json.RawMessage
		if wrong == "" {
			value, wrong = flat(o.Offset)
		}
		if wrong != "" {
			return refuse(wrong + "; send " + offsetsForm)
		}
		if partition == nil { // names no partition of any connector
			continue
		}
		e := offset.Entry{Partition: partition, Value: value}
		if i := slices.IndexFunc(out, func(x offset.Entry) bool { return bytes.Equal(x.Partition, partition) }); i >= 0 {
			out[i] = e // the last of two counts
		} else {
			out = append(out, e)
		}
	}
	return out, nil
}

// flat returns an object of scalars in compact form, nil for null or nothing, or what is wrong with it.
func flat(raw json.RawMessage) (object json.RawMessage, wrong string) {
	if len(raw) == 0 {
		return nil, ""
	}
	v, err := parseJSON(raw)
	switch {
	case err != nil:
		return nil, err.Error()
	case v.kind == '0':
		return nil, ""
	case v.kind != '{':
		return nil, "Partitions and offsets are objects"
	}
	for _, m := range v.members {
		if kind, nested := map[byte]string{'{': "MAP", '[': "ARRAY"}[m.kind]; nested {
			return nil, "Offsets may only contain primitive types as values, but field " + m.name + " contains " + kind
		}
	}
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		return nil, err.Error()
	}
	return b.Bytes(), ""
}

// javaOrder sorts the members of an object as a Java HashMap of its size iterates them, which is the order in which Kafka Connect shows offsets.
func javaOrder(object json.RawMessage) json.RawMessage {
	v, err := parseJSON(object)
	if err != nil || v.kind != '{' {
		return object
	}
	size := 16 // HashMap's first capacity; it doubles when three quarters are used
	for len(v.members)*4 > size*3 {
		size *= 2
	}
	bucket := func(name string) uint32 {
		var h uint32
		for _, u := range utf16.Encode([]rune(name)) {
			h = 31*h + uint32(u)
		}
		return (h ^ h>>16) & uint32(size-1)
	}
	slices.SortStableFunc(v.members, func(a, b member) int { return int(bucket(a.name)) - int(bucket(b.name)) })
	var raw map[string]json.RawMessage
	if json.Unmarshal(object, &raw) != nil {
		return object
	}
	out := []byte{'{'}
	for _, m := range v.members {
		out = append(appendMember(out, m.name), raw[m.name]...)
	}
	return append(out, '}')
}

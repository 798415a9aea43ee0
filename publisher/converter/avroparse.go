package converter

import (
	"encoding/json"
	"strings"

	"github.com/rowmesh/rowmesh/services/errs"
)

// parseAvro reads the types of a schema that a registry holds: as much as writing values by it needs.
func parseAvro(text string) (*avroType, error) {
	var node any
	if err := json.Unmarshal([]byte(text), &node); err != nil {
		return nil, errs.E(errs.Invalid, "the registry's schema is no JSON: %w", err)
	}
	p := avroParser{named: map[string]*avroType{}}
	return p.typ(node, "", 0)
}

type avroParser struct{ named map[string]*avroType }

// maxSchemaDepth bounds how deep schemas may be nested; Debezium's are five deep.
const maxSchemaDepth = 64

func (p *avroParser) typ(node any, space string, depth int) (*avroType, error) {
	if depth > maxSchemaDepth {
		return nil, errs.E(errs.Invalid, "the registry's schema is nested deeper than %d", maxSchemaDepth)
	}
	switch node := node.(type) {
	case string:
		return p.ref(node, space)
	case []any:
		t := &avroType{kind: "union"}
		for _, n := range node {
			branch, err := p.typ(n, space, depth+1)
			if err != nil {
				return nil, err
			}
			t.branches = append(t.branches, branch)
		}
		return t, nil
	case map[string]any:
		kind, ok := node["type"].(string)
		if !ok {
			return p.typ(node["type"], space, depth+1)
		}
		switch kind {
		case "record", "error":
			return p.record(node, space, depth)
		case "array":
			items, err := p.typ(node["items"], space, depth+1)
			return &avroType{kind: kind, items: items}, err
		case "map":
			items, err := p.typ(node["values"], space, depth+1)
			return &avroType{kind: kind, items: items}, err
		}
		return p.ref(kind, space)
	}
	return nil, errs.E(errs.Invalid, "the registry's schema has a type that is neither a name nor an object nor a list: %v", node)
}

func (p *avroParser) ref(name, space string) (*avroType, error) {
	switch name {
	case "null", "boolean", "int", "long", "float", "double", "bytes", "string":
		return &avroType{kind: name}, nil
	}
	for _, full := range []string{space + "." + name, name} {
		if t, ok := p.named[full]; ok {
			return t, nil
		}
	}
	return nil, errs.E(errs.Unsupported, "the registry's schema has the type %q, which values of a connector cannot be written as", name)
}

func (p *avroParser) record(node map[string]any, space string, depth int) (*avroType, error) {
	t := &avroType{kind: "record", space: space}
	t.name, _ = node["name"].(string)
	if s, ok := node["namespace"].(string); ok {
		t.space = s
	}
	if i := strings.LastIndexByte(t.name, '.'); i >= 0 {
		t.space, t.name = t.name[:i], t.name[i+1:]
	}
	p.named[t.fullName()] = t
	fields, _ := node["fields"].([]any)
	for _, f := range fields {
		m, _ := f.(map[string]any)
		typ, err := p.typ(m["type"], t.space, depth+1)
		if err != nil {
			return nil, err
		}
		out := avroField{typ: typ}
		out.name, _ = m["name"].(string)
		if def, ok := m["default"]; ok {
			out.def, _ = json.Marshal(def)
		}
		t.fields = append(t.fields, out)
	}
	return t, nil
}

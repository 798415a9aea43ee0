package transform

import (
	"regexp"
	"strings"

	"cel.dev/cel-go/cel"

	"github.com/rowmesh/rowmesh/publisher/record"
	"github.com/rowmesh/rowmesh/services/errs"
)

// script is what Filter and ContentBasedRouter have in common: an expression over a record, in the Common Expression Language.
//
// Its variables are Debezium's: key and value (structs are selected by field: value.after.status), keySchema and valueSchema (name, version, type, fields),
// topic, and header, by name, each with value and schema. A field that is not there is an error, a null one is null. Decimals are doubles.
type script struct {
	expression string
	topics     *regexp.Regexp // nil: all
	nulls      string
	program    cel.Program
	record     celRecord
}

// scriptCost bounds what one record may cost, in CEL's units of about a comparison each: a hundred thousand are some milliseconds.
const scriptCost = 100_000

// celLanguage is what the option language must say.
const celLanguage = "cel"

func newScript(o options, option string) (script, error) {
	s := script{expression: o.text(option), nulls: o.word("null.handling.mode")}
	if language := o.word("language"); language != celLanguage {
		return s, errs.E(errs.Unsupported, "%slanguage: %s needs a Java runtime, which there is none of: set language=%s and write %s in the Common Expression Language, "+
			"for example value.op == 'u' && value.after.id > 2", o.prefix, o.text("language"), celLanguage, option)
	}
	if strings.TrimSpace(o.text("topic.regex")) != "" {
		var err error
		if s.topics, _, err = o.pattern("topic.regex"); err != nil {
			return s, err
		}
	}
	env, err := cel.NewEnv(cel.Variable("key", cel.DynType), cel.Variable("value", cel.DynType), cel.Variable("keySchema", cel.DynType),
		cel.Variable("valueSchema", cel.DynType), cel.Variable("topic", cel.StringType), cel.Variable("header", cel.DynType))
	if err != nil {
		return s, errs.E(errs.Internal, "expression language: %w", err)
	}
	ast, issues := env.Compile(s.expression)
	if issues.Err() != nil && strings.Contains(issues.Err().Error(), "'_?_:_'") {
		// A choice between a text and null, which is how a router says "this topic or the old one", has no type; it has a value all the same.
		ast, issues = env.Parse(s.expression)
	}
	if issues.Err() != nil {
		return s, errs.E(errs.Invalid, "%s%s: Failed to parse expression '%s': %w", o.prefix, option, s.expression, issues.Err())
	}
	if s.program, err = env.Program(ast, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(scriptCost)); err != nil {
		return s, errs.E(errs.Invalid, "%s%s: Failed to parse expression '%s': %w", o.prefix, option, s.expression, err)
	}
	return s, nil
}

// passes reports whether a record is not for the expression, and whether it is kept then.
func (s *script) passes(r *record.Record) (passes, keep bool) {
	if s.topics != nil && !s.topics.MatchString(r.Topic) {
		return true, true
	}
	if r.Value.Value.IsNull() && s.nulls != "evaluate" {
		return true, s.nulls != "drop"
	}
	return false, false
}

// eval evaluates the expression; the result is a Go value, nil for null.
func (s *script) eval(r *record.Record) (any, error) {
	s.record.r = r
	out, _, err := s.program.Eval(&s.record)
	if err != nil {
		return nil, errs.E(errs.Invalid, "Error while evaluating expression '%s' for %s: %w", s.expression, describe(r), err)
	}
	return out.Value(), nil
}

// scriptFilter is io.debezium.transforms.Filter: it keeps the records for which the condition is true.
type scriptFilter struct{ script }

func newScriptFilter(o options, _ side) (Transform, error) {
	s, err := newScript(o, "condition")
	return &scriptFilter{s}, err
}

func (t *scriptFilter) Apply(_ *record.Slab, r *record.Record) (bool, error) {
	if passes, keep := t.passes(r); passes {
		return keep, nil
	}
	v, err := t.eval(r)
	if err != nil {
		return false, err
	}
	keep, ok := v.(bool)
	if !ok {
		return false, errs.E(errs.Invalid, "Value '%v' returned by the expression '%s' is not a boolean", v, t.expression)
	}
	return keep, nil
}

// scriptRouter is ContentBasedRouter: the expression names the topic.
type scriptRouter struct{ script }

func newScriptRouter(o options, _ side) (Transform, error) {
	s, err := newScript(o, "topic.expression")
	return &scriptRouter{s}, err
}

func (t *scriptRouter) Apply(_ *record.Slab, r *record.Record) (bool, error) {
	if passes, keep := t.passes(r); passes {
		return keep, nil
	}
	v, err := t.eval(r)
	if err != nil {
		return false, err
	}
	switch v := v.(type) {
	case string:
		r.Topic = strings.Clone(v)
		return true, nil
	case nil:
		return true, nil
	}
	if isNullValue(v) {
		return true, nil
	}
	return false, errs.E(errs.Invalid, "Value '%v' returned by the expression '%s' is not a string", v, t.expression)
}

func (*script) sharesHeaders() {}

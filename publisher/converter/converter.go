package converter

import (
	"github.com/rowmesh/rowmesh/publisher/record"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
)

// Role is what a converter is for.
type Role uint8

// Roles.
const (
	Key Role = iota
	Value
	Header
)

// Option returns the option that names the converter of a role.
func (r Role) Option() string {
	return [...]string{"key.converter", "value.converter", "header.converter"}[r]
}

// New makes the converter of a role. done ends questions to a schema registry that are under way, with an error of kind Unavailable; nil never does.
//
// Errors are of kind Invalid and name the option. What the converter then says of data is package record's contract: Invalid for what cannot be expressed,
// and for schemas that the registry refuses; Denied where it wants other credentials; Unavailable where it does not answer.
func New(role Role, c config.Converter, done <-chan struct{}) (record.Converter, error) {
	return build(role, c, options{prefix: role.Option() + ".", of: c.Options}, done)
}

func build(role Role, c config.Converter, o options, done <-chan struct{}) (record.Converter, error) {
	registers := func(f format) (record.Converter, error) {
		r, err := newRegistry(o, role == Key, done)
		if err != nil {
			return nil, err
		}
		return newRegistered(f, r, role == Key), nil
	}
	switch c.Class {
	case "json":
		return &record.JSON{Schemas: c.Schemas, DecimalText: c.DecimalText, NullDefault: c.NullDefault}, nil
	case "simple":
		return record.Simple{}, nil
	case "string":
		return textOf(o)
	case "bytearray":
		return byteArray{}, nil
	case "boolean":
		return number{"BooleanConverter", record.Boolean}, nil
	case "short":
		return number{"ShortConverter", record.Int16}, nil
	case "integer":
		return number{"IntegerConverter", record.Int32}, nil
	case "long":
		return number{"LongConverter", record.Int64}, nil
	case "float":
		return number{"FloatConverter", record.Float32}, nil
	case "double":
		return number{"DoubleConverter", record.Float64}, nil
	case "binary":
		return delegatingOf(role, o, done)
	case "cloudevents":
		return cloudEventsOf(role, o, done)
	case "avro":
		return registers(&avro{avroOptionsOf(o)})
	case "protobuf":
		return registers(&protobuf{protoOptionsOf(o)})
	case "jsonschema":
		return registers(newJSONSchema(jsonOptionsOf(o)))
	}
	return nil, errs.E(errs.Invalid, "%s: the converter %s is not supported", role.Option(), c.Class)
}

// delegateOption names the class of the converter that Debezium's ByteArrayConverter and BinaryDataConverter leave other data to.
const delegateOption = "delegate.converter.type"

func delegatingOf(role Role, o options, done <-chan struct{}) (record.Converter, error) {
	c := delegating{option: o.name(delegateOption)}
	class := o.get(delegateOption, "")
	if class == "" {
		return c, nil
	}
	under := o.under(delegateOption + ".")
	kind, ok := config.ConverterClass(class)
	if !ok || kind == "binary" {
		return nil, o.invalid(delegateOption, "%s is no converter that can stand behind this one", class)
	}
	var err error
	c.other, err = build(role, config.NewConverter(kind, under.of), under, done)
	return c, err
}

package schema

import (
	"encoding/hex"
	"math/big"
	"strings"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"

	"github.com/rowmesh/rowmesh/services/config"
)

// columnDef is a column as a statement defines it. What depends on the table (character set, nullability through keys) is not in column yet.
type columnDef struct {
	column *rowv1.Column
	family family
	// charset is what the definition itself says.
	charset         charset
	binaryCollation bool   // BINARY behind a text type: the _bin collation of whatever character set it is
	binaryType      string // see columnType
	null, notNull   bool
	primary, unique bool
	explicitDefault bool
	defaultNow      bool
	onUpdate        bool
	// rowStart and rowEnd: GENERATED ALWAYS AS ROW START, ROW END.
	rowStart, rowEnd bool
	// versioned: WITH SYSTEM VERSIONING on the column, which makes the table versioned.
	versioned bool
}

// columnDefinition takes what follows the name of a column.
func (p *parser) columnDefinition(name string) *columnDef {
	d := &columnDef{column: &rowv1.Column{Name: name}}
	p.dataType(d)
	for !p.atEnd() && !p.columnEnds() {
		p.columnAttribute(d)
	}
	c := d.column
	c.TypeExpression = c.TypeName
	c.Nullable = !d.notNull
	return d
}

// columnEnds says whether the definition ends here: FIRST and AFTER belong to ALTER TABLE.
func (p *parser) columnEnds() bool {
	t := p.cur()
	return t.is(",") || t.is(")") || t.is("FIRST") || t.is("AFTER")
}

// columnAttribute takes one attribute. One that is not known is passed, with its value: what it may be does not shape rows, and where it does the
// log's own description of the row says so.
func (p *parser) columnAttribute(d *columnDef) {
	c := d.column
	switch {
	case p.accept("NOT", "NULL"):
		d.notNull, d.null = true, false
	case p.accept("NULL"):
		d.notNull, d.null = false, true
	case p.charsetClause(&d.charset):
	case p.accept("SERIAL", "DEFAULT", "VALUE"):
		c.AutoIncrement, c.Generated = true, true
		d.notNull, d.unique = true, true
	case p.accept("DEFAULT"):
		p.defaultValue(d)
	case p.accept("AUTO_INCREMENT"):
		c.AutoIncrement, c.Generated = true, true
		d.notNull = true
	case p.accept("ON", "UPDATE"):
		p.now()
		d.onUpdate = true
		// Debezium's MariaDB grammar takes ON UPDATE for a part of the default where there is one.
		if p.flavor != config.MariaDB || !d.defaultNow {
			c.AutoIncrement, c.Generated = true, true
		}
	case p.accept("UNIQUE"):
		p.accept("KEY")
		d.unique = true
	case p.accept("PRIMARY", "KEY"), p.accept("PRIMARY"), p.accept("KEY"):
		d.primary, d.notNull = true, true
	case p.accept("COMMENT"):
		p.accept("=")
		if _, raw, ok := p.stringText(); ok {
			c.Comment = &raw
		}
	case p.accept("INVISIBLE"):
		c.Invisible = true
	case p.accept("VISIBLE"):
		c.Invisible = false
	case p.accept("WITH", "SYSTEM", "VERSIONING"):
		d.versioned = true
	case p.accept("WITHOUT", "SYSTEM", "VERSIONING"):
	case p.accept("GENERATED", "ALWAYS", "AS", "ROW"), p.accept("AS", "ROW"):
		d.rowStart, d.rowEnd = p.accept("START"), p.accept("END")
		d.notNull, c.Computed = true, true
	case p.accept("GENERATED", "ALWAYS", "AS"), p.accept("AS"):
		c.Computed = true
		p.skipParens()
		p.acceptAny("VIRTUAL", "STORED", "PERSISTENT")
	case p.accept("CONSTRAINT"):
		if !p.cur().is("CHECK") {
			p.advance()
		}
	case p.accept("CHECK"):
		p.skipParens()
	case p.accept("NOT", "ENFORCED"), p.accept("ENFORCED"):
	case p.accept("REFERENCES"):
		p.references()
	default:
		p.advance()
		p.accept("=")
		p.skipParens()
	}
}

// references passes what follows REFERENCES.
func (p *parser) references() {
	p.tableName("")
	p.skipParens()
	for {
		switch {
		case p.accept("MATCH"):
			p.advance()
		case p.accept("ON", "DELETE"), p.accept("ON", "UPDATE"):
			if !p.accept("SET", "NULL") && !p.accept("SET", "DEFAULT") && !p.accept("NO", "ACTION") {
				p.advance()
			}
		default:
			return
		}
	}
}

// now takes a spelling of the current time with its digits; false if none comes next.
func (p *parser) now() bool {
	if p.acceptAny("CURRENT_TIMESTAMP", "NOW", "LOCALTIME", "LOCALTIMESTAMP") == "" {
		return false
	}
	p.skipParens()
	return true
}

// epochDefault is how Debezium spells a default of CURRENT_TIMESTAMP.
const epochDefault = "1970-01-01 00:00:00"

// defaultValue takes what follows DEFAULT.
func (p *parser) defaultValue(d *columnDef) {
	c := d.column
	d.explicitDefault = true
	c.HasDefault, c.DefaultExpression = true, nil
	d.defaultNow = false
	negative := p.accept("-")
	if !negative {
		p.accept("+")
	}
	t := p.cur()
	switch {
	case t.kind == tokenWord && p.isIntroducer():
		p.advance()
		p.literal(d, false)
	case t.kind == tokenString, t.kind == tokenNumber, t.kind == tokenHex, t.kind == tokenBits:
		p.literal(d, negative)
	case p.accept("NULL"):
	case t.is("TRUE"), t.is("FALSE"):
		c.DefaultExpression = ptr(p.advance().text)
	case t.is("("):
		p.skipParens()
	case t.kind == tokenWord || t.kind == tokenQuoted:
		p.functionDefault(d)
	default:
		p.fail()
	}
}

// functionDefault takes a function call. Only the current time has a default value to speak of; Debezium's MariaDB connector shows the text of some
// others.
func (p *parser) functionDefault(d *columnDef) {
	from := p.pos
	name := strings.ToUpper(p.advance().text)
	for p.accept(".") {
		p.advance()
	}
	p.skipParens()
	switch name {
	case "CURRENT_TIMESTAMP", "NOW":
	case "LOCALTIME", "LOCALTIMESTAMP", "CURDATE", "CURTIME":
		if p.flavor == config.MariaDB {
			d.column.DefaultExpression = ptr(p.textOf(from, p.pos))
			return
		}
		if strings.HasPrefix(name, "CUR") {
			return
		}
	default:
		return
	}
	d.defaultNow = true
	d.column.DefaultExpression = ptr(epochDefault)
}

// literal takes a literal default.
func (p *parser) literal(d *columnDef, negative bool) {
	c := d.column
	var text string
	switch t := p.cur(); t.kind {
	case tokenString:
		_, text, _ = p.stringText()
	case tokenNumber:
		text = p.advance().text
		if negative {
			text = "-" + text
		}
	case tokenHex:
		p.advance()
		if p.flavor == config.MariaDB && c.Kind == rowv1.Kind_KIND_BYTES {
			// SHOW CREATE spells all binary defaults so, and Debezium takes none of them.
			return
		}
		text = hexDefault(c.Kind, t.text)
	case tokenBits:
		p.advance()
		text = bitsDefault(c.Kind, t.text)
	default:
		p.fail()
	}
	c.DefaultExpression = &text
}

// hexDefault spells a hexadecimal literal as a default of the kind: text where the column is text, a number where it is one.
func hexDefault(k rowv1.Kind, digits string) string {
	switch k {
	case rowv1.Kind_KIND_BYTES:
		return "0x" + strings.ToUpper(digits)
	case rowv1.Kind_KIND_STRING, rowv1.Kind_KIND_ENUM, rowv1.Kind_KIND_SET, rowv1.Kind_KIND_JSON:
		return hexText(digits)
	}
	n, ok := new(big.Int).SetString(digits, 16)
	if !ok {
		return "0"
	}
	if k == rowv1.Kind_KIND_BIT {
		return n.Text(2)
	}
	return n.Text(10)
}

// bitsDefault spells a bit literal as a default of the kind.
func bitsDefault(k rowv1.Kind, digits string) string {
	if k == rowv1.Kind_KIND_BIT {
		return digits
	}
	n, ok := new(big.Int).SetString(digits, 2)
	if !ok {
		return "0"
	}
	return hexDefault(k, evenHex(n.Text(16)))
}

func evenHex(digits string) string {
	if len(digits)%2 == 1 {
		return "0" + digits
	}
	return digits
}

// hexText returns the bytes that hexadecimal digits spell.
func hexText(digits string) string {
	b, err := hex.DecodeString(evenHex(digits))
	if err != nil {
		return ""
	}
	return strings.ToValidUTF8(string(b), "\uFFFD")
}

// resolve completes the column with what the table gives it: its character set, and that a TIMESTAMP is NOT NULL unless it says NULL
// (explicit_defaults_for_timestamp=OFF).
func (d *columnDef) resolve(table charset, flavor config.Flavor, opts ApplyOptions) {
	c := d.column
	if c.Kind == rowv1.Kind_KIND_TIMESTAMP && opts.ImplicitTimestamp && !d.null && !(c.Computed && flavor == config.MariaDB) {
		d.notNull = true
	}
	switch d.family {
	case familyText, familyMembers:
		cs := d.charset.orElse(table)
		if d.binaryCollation && d.charset.collation == "" && cs.name != "binary" {
			cs.collation = cs.name + "_bin"
		}
		if cs.name == "binary" && d.family == familyText {
			if d.binaryType != "" {
				c.TypeName, c.TypeExpression = d.binaryType, d.binaryType
			}
			c.Kind = rowv1.Kind_KIND_BYTES
			break
		}
		c.Charset, c.Collation = cs.name, cs.collation
	}
	if c.TypeName == "JSON" && c.Kind == rowv1.Kind_KIND_STRING {
		c.Charset, c.Collation = "utf8mb4", "utf8mb4_bin"
	}
	c.Nullable = !d.notNull
	if !d.explicitDefault {
		c.HasDefault = c.Nullable && !c.Computed
	}
}

// zeroTimestamp is the default of a TIMESTAMP that is NOT NULL and has none (explicit_defaults_for_timestamp=OFF).
const zeroTimestamp = "0000-00-00 00:00:00"

// implicitTimestamps applies what explicit_defaults_for_timestamp=OFF means for a table: of its TIMESTAMP columns that are NOT NULL and have no default, the first
// one of all TIMESTAMP columns takes the current time, the others the zero time. The server does so with each ALTER TABLE, also to columns that it leaves alone.
func (t *table) implicitTimestamps() {
	first := true
	for _, c := range t.columns {
		if c.Kind != rowv1.Kind_KIND_TIMESTAMP || c.Hidden {
			continue
		}
		if !c.Nullable && !c.HasDefault && !c.Computed {
			c.HasDefault = true
			if first && !c.AutoIncrement { // ON UPDATE
				// As with ON UPDATE behind a default: see columnAttribute.
				c.DefaultExpression, c.AutoIncrement, c.Generated = ptr(epochDefault), t.flavor != config.MariaDB, t.flavor != config.MariaDB
			} else {
				c.DefaultExpression = ptr(zeroTimestamp)
			}
		}
		first = false
	}
}

package config

import (
	"fmt"
	"strings"
	"time"
)

// retries reads errors.max.retries, of which all that is negative means without end, and retriable.restart.connector.wait.ms, which has a meaning only where
// it is given: its default is much longer than a lane needs that fails because something moves.
func (p *parser) retries() Retries {
	const pause = "retriable.restart.connector.wait.ms"
	r := Retries{Max: int(max(p.integer("errors.max.retries"), -1))}
	if _, given := p.in[pause]; given {
		r.Pause = p.millis(pause)
	}
	return r
}

// queueBytes reads max.queue.size.in.bytes; 0 is no choice.
func (p *parser) queueBytes() int64 { return max(p.integer("max.queue.size.in.bytes"), 0) }

// commitInterval is how often a busy lane commits: what rowmesh's own option says, if that is given, else what Kafka Connect's transaction.boundary=interval says.
func (p *parser) commitInterval() time.Duration {
	const own, theirs = "rowmesh.commit.interval.ms", "transaction.boundary.interval.ms"
	_, chosen := p.in[own]
	_, given := p.in[theirs]
	interval := p.word("transaction.boundary") == "interval"
	switch {
	case !given:
	case !interval:
		p.warn(theirs, theirs+" has no effect without transaction.boundary=interval")
	case chosen:
		p.warn(theirs, fmt.Sprintf("%s has no effect: %s is set as well", theirs, own))
	default:
		return max(p.millis(theirs), time.Millisecond) // 0 is as often as there is something
	}
	return p.millis(own)
}

// sessionVariables returns the statements that set the JDBC drivers' sessionVariables: a list with commas or semicolons of name=value, where @name is a variable
// of the user's. driver.* wins over database.*, as in Debezium.
func (p *parser) sessionVariables() []string {
	list := p.in["driver.sessionVariables"]
	if trim(list) == "" {
		list = p.in["database.sessionVariables"]
	}
	var out []string
	for _, v := range splitQuoted(list) {
		if !strings.HasPrefix(v, "@") {
			v = "SESSION " + v
		}
		out = append(out, "SET "+v)
	}
	return out
}

// splitQuoted splits a list at commas and semicolons that stand in no quotes and no parentheses, and leaves out what is empty.
func splitQuoted(list string) []string {
	var out []string
	var quote rune
	depth, from := 0, 0
	add := func(to int) {
		if s := trim(list[from:to]); s != "" {
			out = append(out, s)
		}
	}
	for i, r := range list {
		switch {
		case quote != 0:
			if r == quote {
				quote = 0
			}
		case r == '\'' || r == '"' || r == '`':
			quote = r
		case r == '(':
			depth++
		case r == ')':
			depth--
		case (r == ',' || r == ';') && depth <= 0:
			add(i)
			from = i + 1
		}
	}
	add(len(list))
	return out
}

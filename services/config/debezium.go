package config

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var (
	nameFormat = regexp.MustCompile(`^[a-zA-Z0-9_.\-]+$`)
	className  = regexp.MustCompile(`^[\pL_$][\pL\pN_$]*(\.[\pL_$][\pL\pN_$]*)*$`)
	keyColumns = regexp.MustCompile(`^\s*([^:]+):([^:,]+(,[^:,]+)*)\s*$`)
)

// checkDebezium does what Debezium checks of its own options: each by its type first and then by its checks, so that some mistakes are told
// twice, as there. Options that Debezium defines come in its order, the others after them.
func (p *parser) checkDebezium() {
	for _, o := range p.cat.options {
		if o.Connect || strings.HasSuffix(o.Name, "*") {
			continue
		}
		v, given := p.in[o.Name]
		if given {
			p.problem(o.Name, checkType(o.Type, v))
		}
		for _, check := range o.Checks {
			p.problem(o.Name, p.check(o, check, v, given))
		}
	}
}

// problem adds an error in Debezium's form. An empty text is none.
func (p *parser) problem(option, text string) {
	if text != "" {
		p.fail(option, fmt.Sprintf("The '%s' value is invalid: %s", option, text))
	}
}

func checkType(kind, v string) string {
	switch kind {
	case "BOOLEAN":
		return checkBoolean(v)
	case "INT":
		return checkNumber(v, 32, -1<<31, "An integer is expected")
	case "LONG":
		return checkNumber(v, 64, -1<<63, "A long value is expected")
	case "CLASS":
		if !className.MatchString(v) {
			return "A Java class name is expected"
		}
	}
	return ""
}

func checkBoolean(v string) string {
	if v = trim(v); !strings.EqualFold(v, "true") && !strings.EqualFold(v, "false") {
		return "Either 'true' or 'false' is expected"
	}
	return ""
}

func checkNumber(v string, bits int, least int64, text string) string {
	if n, err := strconv.ParseInt(v, 10, bits); err != nil || n < least {
		return text
	}
	return ""
}

// check runs one named check. An option that is absent passes all but "required" and those that look at other options too.
func (p *parser) check(o *Option, check, v string, given bool) string {
	kind, other, _ := strings.Cut(check, ":")
	switch kind {
	case "required":
		if trim(v) == "" {
			return "A value is required"
		}
		return ""
	case "queuesize":
		p.checkQueueSize()
		return ""
	case "notificationtopic":
		if trim(v) == "" && slices.Contains(withoutEmpty(p.in["notification.enabled.channels"]), "sink") {
			return "Notification topic name must be provided when kafka notification channel is enabled"
		}
		return ""
	}
	if !given {
		return ""
	}
	switch kind {
	case "boolean":
		return checkBoolean(v)
	case "integer":
		return checkType("INT", v)
	case "positiveinteger":
		return checkNumber(v, 32, 1, "A positive, non-zero integer value is expected")
	case "nonnegativeinteger":
		return checkNumber(v, 32, 0, "An non-negative integer is expected")
	case "positivelong":
		return checkNumber(v, 64, 1, "A positive, non-zero long value is expected")
	case "nonnegativelong":
		return checkNumber(v, 64, 0, "A non-negative long value is expected")
	case "topicname":
		return checkFormat(v)
	case "hostname":
		if trim(v) != "" {
			return checkFormat(v)
		}
	case "oneof":
		if word := strings.ToLower(trim(v)); !slices.Contains(o.Values, word) && (o.Name != "snapshot.mode" || word != "never") {
			return "Value must be one of " + strings.Join(o.Values, ", ")
		}
	case "lockingmode":
		if !slices.Contains(o.Values, strings.ToLower(trim(v))) {
			return "Must be a valid snapshot.locking.mode value"
		}
	case "adaptive":
		if v == "adaptive" {
			return "The 'adaptive' time.precision.mode is no longer supported"
		}
	case "regexlist":
		if _, err := Patterns(v); err != nil {
			return "A comma-separated list of valid regular expressions is expected, but " + err.Error()
		}
	case "exclusive":
		if _, both := p.in[other]; both {
			return fmt.Sprintf("%q is already specified", other)
		}
	case "gtidexcludes":
		if _, both := p.in["gtid.source.includes"]; both {
			return "Cannot specify GTID excludes when includes are provided."
		}
	default:
		return checkList(kind, v)
	}
	return ""
}

func checkFormat(v string) string {
	if nameFormat.MatchString(v) {
		return ""
	}
	return v + " has invalid format (only the underscore, hyphen, dot and alphanumeric characters are allowed)"
}

// checkList runs the checks of options that hold several values.
func checkList(kind, v string) string {
	switch kind {
	case "operations":
		return checkOperations(v)
	case "keycolumns":
		for _, part := range strings.Split(v, ";") {
			if part != "" && !keyColumns.MatchString(part) {
				return part + ` has an invalid format (expecting '^\s*([^:]+):([^:,]+(,[^:,]+)*)\s*$')`
			}
		}
	case "mappairs":
		for _, part := range withoutEmpty(v) {
			if strings.Count(part, "=") != 1 {
				return "A equivalent-separated map of valid key/value pairs is expected, for example: k1=v1,k2=v2"
			}
		}
	case "single":
		if len(withoutEmpty(v)) > 1 {
			return "For single task connector only one signal data collection is permitted."
		}
	}
	return ""
}

func checkOperations(v string) string {
	none, some := false, false
	for _, op := range strings.Split(v, ",") {
		switch trim(op) {
		case "none":
			none = true
		case "r", "c", "u", "d", "t":
			some = true
		default:
			return "Invalid operation"
		}
	}
	if none && some {
		return "'none' cannot be specified with other skipped operation types"
	}
	return ""
}

// checkQueueSize compares the two sizes; those that do not parse have their own error.
func (p *parser) checkQueueSize() {
	queue, err1 := strconv.ParseInt(p.get("max.queue.size"), 10, 32)
	batch, err2 := strconv.ParseInt(p.get("max.batch.size"), 10, 32)
	if err1 != nil || err2 != nil {
		return
	}
	if queue <= 0 {
		p.problem("max.queue.size", "A positive queue size is required")
	}
	if queue <= batch {
		p.problem("max.queue.size", "Must be larger than the maximum batch size")
	}
}

package converter

import (
	"strconv"
	"strings"
	"time"

	"github.com/rowmesh/rowmesh/services/errs"
)

// options are a converter's options by their names without the converter's prefix.
type options struct {
	prefix string // "value.converter."
	of     map[string]string
}

// name returns an option's full name, for errors.
func (o options) name(option string) string { return o.prefix + option }

func (o options) get(option, otherwise string) string {
	if v := strings.TrimSpace(o.of[option]); v != "" {
		return v
	}
	return otherwise
}

// is reads a boolean; config has checked its form.
func (o options) is(option string, otherwise bool) bool {
	if v := strings.TrimSpace(o.of[option]); v != "" {
		return strings.EqualFold(v, "true")
	}
	return otherwise
}

// number reads a number; config has checked its form.
func (o options) number(option string, otherwise int64) int64 {
	if n, err := strconv.ParseInt(strings.TrimSpace(o.of[option]), 10, 64); err == nil {
		return n
	}
	return otherwise
}

func (o options) millis(option string, otherwise time.Duration) time.Duration {
	return time.Duration(o.number(option, otherwise.Milliseconds())) * time.Millisecond
}

// list reads a list of parts with commas between.
func (o options) list(option string) []string {
	var out []string
	for _, part := range strings.Split(o.of[option], ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

// under returns the options whose names begin with a prefix, without it.
func (o options) under(prefix string) options {
	out := options{prefix: o.prefix + prefix, of: map[string]string{}}
	for k, v := range o.of {
		if rest, ok := strings.CutPrefix(k, prefix); ok && rest != "" {
			out.of[rest] = v
		}
	}
	return out
}

func (o options) invalid(option, format string, args ...any) error {
	return errs.E(errs.Invalid, o.name(option)+": "+format, args...)
}

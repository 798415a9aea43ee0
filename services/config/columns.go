package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// The forms of the options that change columns and have numbers or words in their names.
var (
	truncateOption = regexp.MustCompile(`^column\.truncate\.to\.\d{1,9}\.chars$`)
	maskOption     = regexp.MustCompile(`^column\.mask\.with\.\d{1,9}\.chars$`)
	hashOption     = regexp.MustCompile(`^column\.mask\.hash\.(?:v2\.)?([^.]+)\.with\.salt\..+$`)
)

// hashAlgorithms are the digests of column.mask.hash under Java's names.
var hashAlgorithms = []string{"MD5", "SHA", "SHA-1", "SHA-224", "SHA-256", "SHA-384", "SHA-512", "SHA-512/224", "SHA-512/256", "SHA3-224", "SHA3-256", "SHA3-384", "SHA3-512"}

// HashAlgorithms returns the names that column.mask.hash takes.
func HashAlgorithms() []string { return slices.Clone(hashAlgorithms) }

// checkColumnChanges refuses masks and truncations that would not be applied: the values would leave as they are, without anybody noticing.
func (p *parser) checkColumnChanges() {
	for _, name := range p.keys() {
		truncates, masks := strings.HasPrefix(name, "column.truncate."), strings.HasPrefix(name, "column.mask.")
		if !truncates && !masks {
			continue
		}
		hash := hashOption.FindStringSubmatch(name)
		switch {
		case hash == nil && !truncateOption.MatchString(name) && !maskOption.MatchString(name):
			p.fail(name, fmt.Sprintf("The '%s' option is not supported: write column.truncate.to.<length>.chars, column.mask.with.<length>.chars, "+
				"column.mask.hash.<algorithm>.with.salt.<salt> or column.mask.hash.v2.<algorithm>.with.salt.<salt>", name))
		case hash != nil && !slices.Contains(hashAlgorithms, strings.ToUpper(hash[1])):
			p.fail(name, fmt.Sprintf("The '%s' option is not supported: the hash algorithm %s is not known, use one of %s", name, hash[1], strings.Join(hashAlgorithms, ", ")))
		default:
			if _, err := Patterns(p.in[name]); err != nil {
				p.problem(name, "A comma-separated list of valid regular expressions is expected, but "+err.Error())
			}
		}
	}
}

// TinyIntConverter reports whether a class of the converters option is Debezium's converter of TINYINT(1) to booleans, which has two names.
func TinyIntConverter(class string) bool {
	return class == "io.debezium.connector.binlog.converters.TinyIntOneToBooleanConverter" || class == "io.debezium.connector.mysql.converters.TinyIntOneToBooleanConverter"
}

// JDBCSinkConverter reports whether a class of the converters option is Debezium's converter for sinks that write what JDBC's drivers took a column for, which has
// two names.
func JDBCSinkConverter(class string) bool {
	return class == "io.debezium.connector.binlog.converters.JdbcSinkDataTypesConverter" || class == "io.debezium.connector.mysql.converters.JdbcSinkDataTypesConverter"
}

// selectorsOf are the options of a known converter that choose columns; nil for a class that is not known.
func selectorsOf(class string) []string {
	switch {
	case TinyIntConverter(class):
		return []string{"selector"}
	case JDBCSinkConverter(class):
		return []string{"selector.boolean", "selector.real", "selector.string"}
	}
	return nil
}

// ofValueConverter reports whether an option belongs to one of the converters option.
func (p *parser) ofValueConverter(option string) bool {
	name, _, ok := strings.Cut(option, ".")
	return ok && slices.Contains(withoutEmpty(p.in["converters"]), name)
}

// checkValueConverters warns of custom converters, which are Java classes, but for those that are known, and checks the selectors of these.
func (p *parser) checkValueConverters() {
	for _, name := range withoutEmpty(p.in["converters"]) {
		class := trim(p.in[name+".type"])
		selectors := selectorsOf(class)
		if selectors == nil {
			p.warn("converters", fmt.Sprintf("converters: %s (%s.type=%s) is not run: custom converters are Java classes; values keep their default form", name, name, class))
			continue
		}
		for _, s := range selectors {
			selector := name + "." + s
			if _, err := Patterns(p.in[selector]); err != nil {
				p.problem(selector, "A comma-separated list of valid regular expressions is expected, but "+err.Error())
			}
		}
	}
}

package config

import (
	"regexp"
	"strings"
	"testing"
)

// FuzzParse gives two options any names and values: no panic, a connector exactly without errors, patterns that compile, problems that name an option, and no
// password in any text.
func FuzzParse(f *testing.F) {
	for _, o := range AllOptions(MariaDB) {
		for _, v := range []string{"", "1", "true", "(", "a.b:c;d:e,f", "x,,y"} {
			f.Add(o.Name, v, "table.include.list", `a\.(b|c),d.*`)
		}
	}
	f.Add("column.mask.hash.v2.SHA-256.with.salt.s", "a.b.c", "topic.regex", "(?<x>a)+?")
	f.Add("topic.naming.strategy", string(DefaultRegexStrategy), "topic.replacement", `$1${x}\`)
	f.Add("converters", "a,b", "a.type", "io.debezium.connector.binlog.converters.TinyIntOneToBooleanConverter")
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2 string) {
		for _, class := range []string{MySQLClass, MariaDBClass} {
			cfg := with("connector.class="+class, "database.password=hunter2")
			for k, v := range map[string]string{name1: value1, name2: value2} {
				if k != "connector.class" && k != "database.password" && !strings.Contains(v, "hunter2") && !strings.Contains(k, "hunter2") {
					cfg[k] = v
				}
			}
			c, res := Parse("c", cfg)
			if (c == nil) != (len(res.Errors) > 0) {
				t.Fatalf("connector %v with errors %v", c, texts(res.Errors))
			}
			for _, p := range append(res.Errors, res.Warnings...) {
				if strings.Contains(p.Text, "hunter2") {
					t.Errorf("the password is in %s", p.Text)
				}
			}
			if c == nil {
				continue
			}
			for _, list := range [][]string{c.IncludeDatabases, c.ExcludeDatabases, c.IncludeTables, c.ExcludeTables, c.IncludeColumns, c.ExcludeColumns, c.IncludeGTIDs, c.ExcludeGTIDs} {
				for _, p := range list {
					if _, err := regexp.Compile(p); err != nil {
						t.Errorf("pattern %s: %v", p, err)
					}
					Literal(p)
				}
			}
			if r := c.TopicRouting; r != nil {
				if _, err := regexp.Compile(r.Topic.Pattern); err != nil {
					t.Errorf("topic.regex: %v", err)
				}
			}
		}
	})
}

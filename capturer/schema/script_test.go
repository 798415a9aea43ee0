package schema

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"

	"github.com/rowmesh/rowmesh/services/config"
)

var rewrite = flag.Bool("rewrite", false, "write what the scripts give into testdata/script")

// TestScripts runs testdata/script/*.txt. A script is a list of blocks:
//
//	options
//	statement ...
//	----
//	what comes of it
//	<blank line>
//
// where options are "mysql" or "mariadb", which begin a new catalog, or "sql" with words of ApplyOptions. The default database is db. What comes of it is
// each change with its text and the table afterwards, or the error.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/script/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := runScript(t, string(text))
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(text), got); diff != "" {
				t.Errorf("-want +got (-rewrite takes it over)\n%s", diff)
			}
		})
	}
}

// runScript returns the script with the results that come now.
func runScript(t *testing.T, text string) string {
	var out strings.Builder
	var c *Catalog
	for block := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		if strings.HasPrefix(block, "#") {
			out.WriteString(block + "\n\n")
			continue
		}
		input, _, _ := strings.Cut(block, "\n----")
		head, sql, _ := strings.Cut(input, "\n")
		o := ApplyOptions{}
		words := strings.Fields(head)
		for _, w := range words[1:] {
			switch w {
			case "ansi":
				o.AnsiQuotes = true
			case "noescapes":
				o.NoBackslashEscapes = true
			case "realfloat":
				o.RealAsFloat = true
			case "implicit":
				o.ImplicitTimestamp = true
			case "failed":
				o.Failed = true
			case "lower1":
				c = NewCatalog(Options{Flavor: config.MySQL, LowerCaseNames: 1})
			case "lower2":
				c = NewCatalog(Options{Flavor: config.MySQL, LowerCaseNames: 2})
			default:
				t.Fatalf("unknown word %q", w)
			}
		}
		switch {
		case len(words) > 1 && strings.HasPrefix(words[1], "lower"):
		case words[0] == "mysql":
			c = NewCatalog(Options{Flavor: config.MySQL, Version: 80036, ServerCharset: "utf8mb4", ServerCollation: "utf8mb4_0900_ai_ci"})
		case words[0] == "mariadb":
			c = NewCatalog(Options{Flavor: config.MariaDB, Version: 110809, ServerCharset: "utf8mb4", ServerCollation: "utf8mb4_uca1400_ai_ci"})
		}
		fmt.Fprintf(&out, "%s\n----\n%s\n", input, applyText(c, sql, o))
	}
	return strings.TrimRight(out.String(), "\n") + "\n"
}

func applyText(c *Catalog, sql string, o ApplyOptions) string {
	changes, err := c.Apply("db", sql, o)
	var unknown *UnknownError
	if errors.As(err, &unknown) {
		return fmt.Sprintf("error: table %s.%s: %s near %q\n", unknown.Database, unknown.Table, unknown.Reason, unknown.Near)
	}
	if len(changes) == 0 {
		return "nothing\n"
	}
	var b strings.Builder
	for _, ch := range changes {
		fmt.Fprintf(&b, "%s %s.%s", ch.Type, ch.Database, ch.Table)
		if ch.PreviousTable != "" {
			fmt.Fprintf(&b, " was %s.%s", ch.PreviousDatabase, ch.PreviousTable)
		}
		if ch.Passing {
			b.WriteString(" (passing)")
		}
		if ch.Statement != strings.TrimSuffix(strings.TrimSpace(sql), ";") {
			fmt.Fprintf(&b, " by %q", ch.Statement)
		}
		b.WriteString("\n" + tableText(ch.After))
	}
	return b.String()
}

// tableText spells a table with all that a statement can change.
func tableText(t *rowv1.Table) string {
	if t == nil {
		return ""
	}
	var b strings.Builder
	for _, c := range t.Columns {
		fmt.Fprintf(&b, "  %s %s", c.Name, c.TypeName)
		if c.Length != nil {
			fmt.Fprintf(&b, "(%d", *c.Length)
			if c.Scale != nil {
				fmt.Fprintf(&b, ",%d", *c.Scale)
			}
			b.WriteString(")")
		}
		fmt.Fprintf(&b, " as %s", strings.TrimPrefix(c.Kind.String(), "KIND_"))
		if c.Charset != "" {
			fmt.Fprintf(&b, " %s/%s", c.Charset, c.Collation)
		}
		for _, f := range []struct {
			on   bool
			name string
		}{{!c.Nullable, "not-null"}, {c.AutoIncrement, "auto"}, {c.Computed, "computed"}, {c.Invisible, "invisible"}, {c.Hidden, "hidden"}} {
			if f.on {
				b.WriteString(" " + f.name)
			}
		}
		if c.DefaultExpression != nil {
			fmt.Fprintf(&b, " default=%q", *c.DefaultExpression)
		} else if c.HasDefault != c.Nullable {
			fmt.Fprintf(&b, " has-default=%v", c.HasDefault)
		}
		if c.Members != nil {
			fmt.Fprintf(&b, " members=%q", c.Members)
		}
		if c.Comment != nil {
			fmt.Fprintf(&b, " comment=%q", *c.Comment)
		}
		b.WriteString("\n")
	}
	names := func(at []uint32) string {
		var n []string
		for _, i := range at {
			n = append(n, t.Columns[i].Name)
		}
		return strings.Join(n, ",")
	}
	for _, ix := range t.Indexes {
		fmt.Fprintf(&b, "  index %s(%s) unique=%v", ix.Name, names(ix.Columns), ix.Unique)
		if ix.Functional {
			b.WriteString(" functional")
		}
		if ix.Prefix {
			b.WriteString(" prefix")
		}
		if ix.Hash {
			b.WriteString(" hash")
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "  key=%s charset=%s/%s", names(t.Key), t.Charset, t.Collation)
	if t.Comment != nil {
		fmt.Fprintf(&b, " comment=%q", *t.Comment)
	}
	return b.String() + "\n"
}

package config

import (
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPatternsMatch(t *testing.T) {
	for _, c := range []struct {
		list  string
		match []string
		miss  []string
	}{
		{"mydb.orders", []string{"mydb.orders", "MYDB.Orders", "mydbxorders"}, []string{"mydb.orders2", "xmydb.orders"}},
		{`mydb\.orders , mydb\.customers`, []string{"mydb.customers"}, []string{"mydbxorders"}},
		{`a{1\,3}`, []string{"a", "aaa"}, []string{"aaaa"}},
		{`db[0-9]+\.t_(a|b)`, []string{"db12.t_a"}, []string{"db.t_a"}},
		{`a|b`, []string{"a", "b"}, []string{"ab", "xa"}},
		{`\Qa.b\E.*`, []string{"a.b", "a.bc"}, []string{"axb"}},
		{`[\w&&x]`, nil, nil},
		{`\p{Alpha}+`, []string{"abc"}, []string{"a1"}},
		{`[\p{Digit}_]+`, []string{"1_2"}, []string{"a"}},
		{`\P{Alpha}`, []string{"1"}, []string{"a"}},
		{`(?<name>x)y`, []string{"xy"}, []string{"x"}},
		{`(?:x|y)z`, []string{"yz"}, []string{"z"}},
		{`a\-b[\-\]]`, []string{"a-b-", "a-b]"}, []string{"a-bx"}},
		{`\u0061`, []string{"a"}, []string{"b"}},
		{`größe\.ß`, []string{"größe.ß", "GRÖßE.ß"}, []string{"grösse.ß"}},
		{`[a-c]`, []string{"b", "C"}, []string{"d"}},
		{`a*?b+?`, []string{"b", "aab"}, []string{"a"}},
		{`[]a]`, []string{"]", "a"}, []string{"b"}},
		{`a\h+b`, []string{"a \tb"}, []string{"ab"}},
	} {
		list, err := Patterns(c.list)
		if err != nil {
			if c.match != nil {
				t.Errorf("%s: %v", c.list, err)
			}
			continue
		}
		hit := func(s string) bool {
			for _, p := range list {
				if regexp.MustCompile(p).MatchString(s) {
					return true
				}
			}
			return false
		}
		for _, s := range c.match {
			if !hit(s) {
				t.Errorf("%s does not match %s (%q)", c.list, s, list)
			}
		}
		for _, s := range c.miss {
			if hit(s) {
				t.Errorf("%s matches %s (%q)", c.list, s, list)
			}
		}
	}
}

func TestSplitPatterns(t *testing.T) {
	got := SplitPatterns(` a , b\,c ,, d\\, e\.f`)
	if d := cmp.Diff([]string{"a", "b,c", `d\\`, `e\.f`}, got); d != "" {
		t.Error(d)
	}
}

func TestPatternErrors(t *testing.T) {
	for pattern, want := range map[string]string{
		"(":         "Unclosed group near index 1\n(",
		"(unclosed": "Unclosed group near index 9\n(unclosed",
		"a)b":       "Unmatched closing ')' near index 0\na)b\n^",
		")":         "Unmatched closing ')'\n)",
		"*.x":       "Dangling meta character '*' near index 0\n*.x\n^",
		"a|+":       "Dangling meta character '+' near index 2\na|+\n  ^",
		"[":         "Unclosed character class near index 0\n[\n^",
		"[abc":      "Unclosed character class near index 3\n[abc\n   ^",
		`a\y`:       "Illegal/unsupported escape sequence near index 2\na\\y\n  ^",
		`a\`:        "Unescaped trailing backslash near index 2\na\\",
		`(a)\1`:     "a back reference is not supported here (write the text again) near index 3\n(a)\\1\n   ^",
		`a++`:       "a possessive quantifier is not supported here (write it without the second +) near index 2\na++\n  ^",
		`(?>a)`:     "an atomic group (?>...) is not supported here (name what you want in an include list, and what you do not in an exclude list) near index 0\n(?>a)\n^",
		`(?x)a`:     "Unknown inline modifier near index 2\n(?x)a\n  ^",
		`[a[b]]`:    "a class inside a class is not supported here (write its characters into the outer one) near index 2\n[a[b]]\n  ^",
		"{1}":       "Illegal repetition\n{1}",
		"a{1":       "Unclosed counted closure near index 3\na{1",
		"a{9999}":   "invalid repeat count: `{9999}`\na{9999}",
	} {
		_, err := toGo(pattern)
		if err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", pattern, err, want)
		}
	}
}

func FuzzToGo(f *testing.F) {
	for _, s := range []string{`a\.b`, `(?<n>x)[^\]-]+`, `\Qa\E`, `\p{L}{2,3}?`, "[]", `\`, "größe", `\u12`, `(?i`, `\p`, `[\p{Alpha}]`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		g, err := toGo(s)
		if err == nil {
			regexp.MustCompile(g)
		}
	})
}

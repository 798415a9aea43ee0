package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWanted(t *testing.T) {
	const cases = "../testdata/cases"
	for _, c := range []struct {
		args []string
		want []string
		err  string
	}{
		{[]string{"-cases", cases, "ty-json-s*", "ty-json-scalars", "be-restart-rows"}, []string{"ty-json-scalars", "be-restart-rows"}, ""},
		{[]string{"-cases", cases, "nothing-*"}, nil, "no case in " + cases + " is named nothing-*"},
		{[]string{"-engine", "postgres"}, nil, "mysql, mariadb or both"},
	} {
		o, err := parse(c.args)
		var dirs []string
		if err == nil {
			dirs, err = o.wanted()
		}
		if (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%v: %v, want %q", c.args, err, c.err)
			continue
		}
		var got []string
		for _, d := range dirs {
			got = append(got, filepath.Base(d))
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%v (-want +got):\n%s", c.args, d)
		}
	}
}

// A copy has what a case needs to run, and none of its recordings.
func TestCopied(t *testing.T) {
	into, err := copied("../testdata/cases/be-rows-include-query", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(into)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range files {
		got = append(got, f.Name())
	}
	if d := cmp.Diff([]string{"case.json", "setup.sql", "stream.mariadb.sql", "stream.mysql.sql", "stream.sql"}, got); d != "" {
		t.Errorf("files (-want +got):\n%s", d)
	}
}

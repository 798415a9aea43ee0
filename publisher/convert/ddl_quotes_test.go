package convert

import "testing"

func TestSingleQuotes(t *testing.T) {
	for in, want := range map[string]string{
		`alter table t add c char default 'x'`:   `alter table t add c char default 'x'`,
		`add d char(9) default "it's ""q"""`:     `add d char(9) default 'it''s ""q""'`,
		"add `a\"b` int comment '\"', e int":     "add `a\"b` int comment '\"', e int",
		`add a int /* "no" */ default "1" # "no`: `add a int /* "no" */ default '1' # "no`,
		`add a char(3) default "\""`:             `add a char(3) default '\"'`,
		`add a int -- "no`:                       `add a int -- "no`,
		`never "ends`:                            `never "ends`,
		`"`:                                      `"`,
	} {
		if got := singleQuotes(in); got != want {
			t.Errorf("%s\nbecomes %s\nwant    %s", in, got, want)
		}
	}
}

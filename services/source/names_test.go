package source

import (
	"context"
	"net"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rowmesh/rowmesh/services/config"
)

func TestRealServerNames(t *testing.T) {
	for _, v := range servers {
		t.Run(v, func(t *testing.T) {
			addr := server(t, v)
			c := connect(t, Config{Addr: addr, User: "root"})
			for _, sql := range []string{"DROP DATABASE IF EXISTS options_names", "CREATE DATABASE options_names", "CREATE TABLE options_names.t (id INT PRIMARY KEY, a INT)",
				"CREATE TABLE options_names.u (id INT PRIMARY KEY)", "CREATE VIEW options_names.v AS SELECT 1 AS x"} {
				if err := c.Exec(t.Context(), sql); err != nil {
					t.Fatal(err)
				}
			}
			t.Cleanup(func() { c.Exec(context.Background(), "DROP DATABASE options_names") })
			host, port, _ := net.SplitHostPort(addr)
			for _, x := range []struct {
				option, value string
				want          []Problem
			}{
				{"column.include.list", `options_names.t.ID,options_names\.t\.a,options_names.new.x,options_names.*.y`, nil},
				{"column.include.list", "options_names.t.gone,options_names.u.id", []Problem{{Option: "column.include.list",
					Text: "options_names.t.gone names column gone, which table options_names.t does not have; it has id, a"}}},
				{"message.key.columns", "options_names.t:a;.*:whatever;options_names.new:x;options_names.t:i.", nil},
				{"message.key.columns", "options_names.t:a,gone", []Problem{{Option: "message.key.columns",
					Text: "options_names.t:a,gone names column gone, which table options_names.t does not have; it has id, a"}}},
				{"guardrail.collections.max", "2", nil},
				{"guardrail.collections.max", "1", []Problem{{Option: "guardrail.collections.max", Warning: true,
					Text: "Guardrail limit exceeded: 2 tables are captured and guardrail.collections.max allows 1; choose fewer with table.include.list, or raise the limit"}}},
			} {
				cfg, res := config.Parse("c", map[string]string{"connector.class": config.MySQLClass, "database.hostname": host, "database.port": port, "database.user": "root",
					"database.server.id": "1", "topic.prefix": "p", "database.include.list": "options_names", x.option: x.value})
				if cfg == nil {
					t.Fatal(res.Message())
				}
				got, err := CheckNames(t.Context(), c, cfg)
				if err != nil {
					t.Fatal(err)
				}
				for i := range got {
					got[i].Kind = ""
				}
				if d := cmp.Diff(x.want, got); d != "" {
					t.Errorf("%s=%s: %s", x.option, x.value, d)
				}
			}
		})
	}
}

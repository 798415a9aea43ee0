package cli

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rowmesh/rowmesh/integration/harness"
)

// tokenOf returns the token of a line, if it is one.
func tokenOf(line string) string {
	var x struct{ Token string }
	if err := json.Unmarshal([]byte(line), &x); err != nil {
		return ""
	}
	return x.Token
}

// withoutTokens returns the lines that are rows or statements. Tokens of the same place are spelled differently from start to start.
func withoutTokens(lines []string) []string {
	var out []string
	for _, l := range lines {
		if tokenOf(l) == "" {
			out = append(out, l)
		}
	}
	return out
}

// upTo returns the lines before the one that holds text, and that line.
func upTo(lines []string, text string) []string {
	for i, l := range lines {
		if strings.Contains(l, text) {
			return lines[:i+1]
		}
	}
	return lines
}

// TestRows follows the rows of two tables from each start, and goes on from each token that was printed.
func TestRows(t *testing.T) {
	for _, engine := range []harness.Part{harness.MySQL, harness.MariaDB} {
		t.Run(string(engine), func(t *testing.T) {
			addr := harness.Addr(t, engine)
			c := database(t, addr, "cli_rows", "create table cli_rows.a (id int primary key, v varchar(20))", "create table cli_rows.b (id int primary key)",
				"insert into cli_rows.a values (1,'old')")
			m := harness.Start(t, harness.Size{Coordinators: 1, Capturers: 1, Publishers: 1}, nil)
			m.Create(t, "cli-rows", m.Connector(engine, addr, "cli-rows-"+string(engine), "cli_rows", nil))
			follow := func(from string, more ...string) *running {
				return start(t, append([]string{"rows", "--coordinator", m.Control, "--source", addr, "--tables", `cli_rows\.a`, "--from", from}, more...)...)
			}
			latest := follow("latest")
			harness.Await(t, 20*time.Second, "the subscription", func() error {
				if !strings.Contains(latest.said(), "reading "+addr) {
					return errText(latest.said())
				}
				return nil
			})
			run(t, c, "begin", "insert into cli_rows.a values (2,'two'),(3,null)", "insert into cli_rows.b values (2)", "update cli_rows.a set v='TWO' where id=2", "commit")
			latest.await(t, `{"token":`) // transactions that are ready together share one
			run(t, c, "insert into cli_rows.b values (3)", "delete from cli_rows.a where id=3", "insert into cli_rows.a values (9,'last')")
			lines := upTo(latest.await(t, `"last"`), `"last"`)
			want := []string{
				`{"op":"c","table":"cli_rows.a","row":{"id":2,"v":"two"}}`,
				`{"op":"c","table":"cli_rows.a","row":{"id":3,"v":null}}`,
				`{"op":"u","table":"cli_rows.a","before":{"id":2,"v":"two"},"after":{"id":2,"v":"TWO"}}`,
				`{"op":"d","table":"cli_rows.a","row":{"id":3,"v":null}}`,
				`{"op":"c","table":"cli_rows.a","row":{"id":9,"v":"last"}}`,
			}
			if d := cmp.Diff(want, withoutTokens(lines)); d != "" {
				t.Fatal(d)
			}
			latest.interrupt(t)

			tokens := 0
			for i, l := range lines {
				token := tokenOf(l)
				if token == "" {
					continue
				}
				tokens++
				again := follow(token)
				got := withoutTokens(upTo(again.await(t, `"last"`), `"last"`))
				if d := cmp.Diff(withoutTokens(lines[i+1:]), got); d != "" {
					t.Errorf("from the token after line %d: %s", i, d)
				}
				again.interrupt(t)
			}
			if tokens == 0 {
				t.Errorf("no token in %q", lines)
			}

			earliest := follow("earliest")
			if got := withoutTokens(upTo(earliest.await(t, `"last"`), `"last"`)); !strings.Contains(got[0], "create table") && !strings.Contains(strings.Join(got, "\n"), `"v":"old"`) {
				t.Errorf("from the oldest log: %q", got)
			}
			earliest.interrupt(t)

			byName := start(t, "rows", "--coordinator", m.Control, "--source", "cli-rows", "--tables", `cli_rows\.a`, "--from", "snapshot")
			rows := withoutTokens(upTo(byName.await(t, `"last"`), `"last"`))
			var reads []string
			for _, l := range rows {
				if strings.HasPrefix(l, `{"op":`) {
					reads = append(reads, l)
				}
			}
			if d := cmp.Diff([]string{`{"op":"r","table":"cli_rows.a","row":{"id":1,"v":"old"}}`, `{"op":"r","table":"cli_rows.a","row":{"id":2,"v":"TWO"}}`,
				`{"op":"r","table":"cli_rows.a","row":{"id":9,"v":"last"}}`}, reads); d != "" {
				t.Errorf("snapshot: %s", d)
			}
			run(t, c, "insert into cli_rows.a values (10,'after')")
			byName.await(t, `{"op":"c","table":"cli_rows.a","row":{"id":10,"v":"after"}}`)
			byName.interrupt(t)
		})
	}
}

type errText string

func (e errText) Error() string { return string(e) }

// TestRowsExplains names sources that nobody reads, starts that cannot be, and servers that are not there.
func TestRowsExplains(t *testing.T) {
	addr := harness.Addr(t, harness.MySQL)
	database(t, addr, "cli_explain", "create table cli_explain.t (id int primary key)")
	m := harness.Start(t, harness.Size{Coordinators: 1, Capturers: 1, Publishers: 1}, nil)
	rows := func(source string, more ...string) result {
		return rowmesh(t, "", append([]string{"rows", "--coordinator", m.Control, "--source", source}, more...)...)
	}
	refused(t, rows(addr), addr, "no running or paused connector reads from it", "create one", "none")
	refused(t, rows("nobody"), "nobody", "no connector has that name", "host:port")
	config := m.Connector(harness.MySQL, addr, "cli-explain", "cli_explain", nil)
	m.Create(t, "a", config)
	m.Create(t, "b", config)
	refused(t, rows("db.example:3306"), "db.example:3306", "no running or paused connector reads from it", addr)
	refused(t, rows(addr, "--tables", "cli_explain.("), "cli_explain.(")
	refused(t, rows(addr, "--from", "AAAA"), addr, "token")
	refused(t, rowmesh(t, "", "rows", "--capturer", m.Members["capturer-1"].GRPC, "--source", "db.example:3306"), "db.example:3306", "connector")
	refused(t, rowmesh(t, "", "rows", "--coordinator", "127.0.0.1:1", "--source", addr), "coordinator at 127.0.0.1:1")
	if code, body := m.Call(t, "PUT", "/connectors/b/stop", nil); code != 204 {
		t.Fatal(body)
	}
	refused(t, rows("b"), "connector b is stopped", "resume")
	// The second connector of a source may be named as well as the first.
	m.Call(t, "PUT", "/connectors/b/resume", nil)
	r := start(t, "rows", "--coordinator", m.Control, "--source", "b")
	harness.Await(t, 20*time.Second, "the subscription", func() error {
		if !strings.Contains(r.said(), "reading "+addr) {
			return errText(r.said())
		}
		return nil
	})
}

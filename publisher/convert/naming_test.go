package convert

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/config"
)

// parsed makes an encoder of options, "key=value", as a user gives them.
func parsed(t *testing.T, options ...string) *Encoder {
	t.Helper()
	cfg := map[string]string{"connector.class": config.MySQLClass, "database.hostname": "h", "database.user": "u", "database.server.id": "1", "topic.prefix": "p"}
	for _, c := range []string{"key.converter", "value.converter"} {
		cfg[c], cfg[c+".schemas.enable"] = "JsonConverter", "false"
	}
	for _, o := range options {
		k, v, _ := strings.Cut(o, "=")
		cfg[k] = v
	}
	c, res := config.Parse("c", cfg)
	if c == nil {
		t.Fatal(res.Message())
	}
	enc, err := New(c, Options{Now: func() int64 { return 0 }})
	if err != nil {
		t.Fatal(err)
	}
	return enc
}

func TestTopicNames(t *testing.T) {
	const regex = "topic.naming.strategy=io.debezium.schema.DefaultRegexTopicNamingStrategy"
	for _, c := range []struct {
		options []string
		table   string
		want    string
	}{
		{nil, "a b_c", "p.db.a_b_c"},
		{[]string{"topic.delimiter=-"}, "t", "p-db-t"},
		{[]string{"topic.naming.strategy=io.debezium.schema.DefaultUnicodeTopicNamingStrategy"}, "a b_c", "p.db.a_u0020b_u005fc"},
		{[]string{"topic.naming.strategy=io.debezium.schema.SchemaTopicNamingStrategy"}, "t", "p.t"},
		{[]string{"topic.naming.strategy=io.debezium.schema.SchemaUnicodeTopicNamingStrategy"}, "t_1", "p.t_u005f1"},
		{[]string{regex, "topic.regex=(.*)orders_(.*)", "topic.replacement=$1all_orders"}, "orders_7", "p.db.all_orders"},
		{[]string{regex, "topic.regex=(.*)orders_(.*)", "topic.replacement=$1all_orders"}, "Orders_7", "p.db.Orders_7"},
		{[]string{regex, "topic.regex=(.*)orders_(.*)", "topic.replacement=$1all_orders"}, "customers", "p.db.customers"},
		{[]string{regex, `topic.regex=p\.(?<db>\w+)\.(\w+)`, "topic.replacement=${db}-$2"}, "t", "db-t"},
		{[]string{regex, `topic.regex=p\.(db)\.(\w+)`, "topic.replacement=$12"}, "t", "db2"},
		{[]string{regex, `topic.regex=p\.db\.\w+`, `topic.replacement=\a\.b`}, "t", "a.b"},
		// The pattern matches all of the topic, but what it finds first is less.
		{[]string{regex, `topic.regex=p|p\.db\.t`, `topic.replacement=q`}, "t", "q.db.t"},
		{[]string{strings.Replace(regex, "Default", "Schema", 1), `topic.regex=p\.(.).*`, `topic.replacement=$1`}, "table", "t"},
	} {
		if got := parsed(t, c.options...).TopicOf("db", c.table).Name; got != c.want {
			t.Errorf("%s of %v: %s, want %s", c.table, c.options, got, c.want)
		}
	}
}

func TestTablesThatShareATopic(t *testing.T) {
	regex := []string{"topic.naming.strategy=io.debezium.schema.DefaultRegexTopicNamingStrategy", `topic.regex=p\.db\..*`, "topic.replacement=all"}
	keyless := smallTable()
	keyless.Key, keyless.Table = nil, `k"1`
	for name, c := range map[string]struct {
		options []string
		table   *rowv1.Table
		want    []string // keys and headers
	}{
		"topic":           {nil, smallTable(), []string{`{"id":1,"__dbz__physicalTableIdentifier":"p.db.t"}`, `{"id":1,"__dbz__physicalTableIdentifier":"p.db.t"}`, `{"id":2,"__dbz__physicalTableIdentifier":"p.db.t"}`}},
		"part":            {[]string{`topic.key.field.regex=p\.(\w+)\.(\w+)`, "topic.key.field.replacement=$2 of $1", "topic.key.field.name=from"}, smallTable(), []string{`{"id":1,"from":"t of db"}`, `{"id":1,"from":"t of db"}`, `{"id":2,"from":"t of db"}`}},
		"no match":        {[]string{"topic.key.field.regex=x", "topic.key.field.replacement=y"}, smallTable(), []string{`{"id":1,"__dbz__physicalTableIdentifier":"p.db.t"}`, `{"id":1,"__dbz__physicalTableIdentifier":"p.db.t"}`, `{"id":2,"__dbz__physicalTableIdentifier":"p.db.t"}`}},
		"off":             {[]string{"topic.key.enforce.uniqueness=false"}, smallTable(), []string{`{"id":1}`, `{"id":1}`, `{"id":2}`}},
		"keyless":         {nil, keyless, []string{`{"__dbz__physicalTableIdentifier":"p.db.k\"1"}`}},
		"keyless and off": {[]string{"topic.key.enforce.uniqueness=false"}, keyless, []string{`<nil>`}},
	} {
		enc := parsed(t, append(regex, c.options...)...)
		if err := enc.AddTable(c.table); err != nil {
			t.Fatal(err)
		}
		var out Output
		if err := enc.Batch(oneGroup('u', 0, 1, image(false, 1, "a", 1, "NULL"), image(false, 2, "a", 1, "NULL")), &out); err != nil {
			t.Fatal(err)
		}
		var got []string
		for i := range out.Records {
			r := &out.Records[i]
			text := "<nil>"
			if k := out.Bytes(r.Key); k != nil {
				text = string(k)
			}
			if got = append(got, text); r.Topic.Name != "all" {
				t.Errorf("%s: topic %s", name, r.Topic.Name)
			}
			if h := enc.Headers(nil, &out, r); r.Extra == OldKey && !strings.HasPrefix(string(h[0].Value), `{"id":1`) {
				t.Errorf("%s: header %s", name, h[0].Value)
			} else if r.Extra == OldKey && string(h[0].Value) != c.want[0] {
				t.Errorf("%s: header %s, want %s", name, h[0].Value, c.want[0])
			}
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func TestTopicThatKafkaRefuses(t *testing.T) {
	enc := parsed(t, "topic.naming.strategy=io.debezium.schema.DefaultRegexTopicNamingStrategy", "topic.regex=p.db.t", "topic.replacement=a b")
	err := enc.AddTable(smallTable())
	if err == nil || !strings.Contains(err.Error(), `topic.replacement makes "a b" of topic p.db.t`) {
		t.Errorf("got %v", err)
	}
}

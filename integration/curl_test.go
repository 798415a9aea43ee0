package integration

import (
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/rowmesh/rowmesh/integration/harness"
)

// curlConfig is a config of Debezium 1.x as people still have them, in its order; host, port, Kafka and names are the test's.
func curlConfig(host, port, kafka, db, prefix string) string {
	return `{"name":"debezium-` + db + `-myTable-source-connector","config":{` +
		`"connector.class":"io.debezium.connector.mysql.MySqlConnector","tasks.max":"1",` +
		`"database.hostname":"` + host + `","database.port":"` + port + `","database.user":"dbz","database.password":"dbz",` +
		`"database.server.id":"10000","database.server.name":"` + prefix + `","database.connectionTimeZone":"Asia/Seoul",` +
		`"database.include.list":"` + db + `","table.include.list":"` + db + `.myTable","database.allowPublicKeyRetrieval":"true",` +
		`"database.history.kafka.bootstrap.servers":"` + kafka + `","database.history.kafka.topic":"schema-history.` + prefix + `",` +
		`"key.converter":"org.apache.kafka.connect.json.JsonConverter","value.converter":"org.apache.kafka.connect.json.JsonConverter"}}`
}

// TestCurlOfOldNames posts that config and follows the rows: the snapshot, then every change.
func TestCurlOfOldNames(t *testing.T) {
	m := harness.Start(t, harness.Size{Coordinators: 2, Capturers: 2, Publishers: 2}, nil)
	for _, engine := range []harness.Part{harness.MySQL, harness.MySQL80, harness.MariaDB} {
		t.Run(string(engine), func(t *testing.T) {
			addr := harness.Addr(t, engine)
			db, prefix := "mydb_"+string(engine), "test-"+string(engine)
			c := harness.Root(t, addr)
			harness.Exec(t, c, "drop database if exists "+db, "create database "+db,
				"create table "+db+".myTable (id int primary key, name varchar(20), at timestamp)", "create table "+db+".other (id int primary key)",
				"insert into "+db+".myTable values (1,'one','2024-01-02 03:04:05'),(2,'둘','2024-01-02 03:04:05')")
			host, port, _ := net.SplitHostPort(addr)
			body := curlConfig(host, port, m.Kafka, db, prefix)
			code, answer := m.Call(t, "POST", "/connectors", body)
			// The config comes back as it was sent, with the name after it, and no tasks yet.
			name := "debezium-" + db + "-myTable-source-connector"
			_, config, _ := strings.Cut(body, `"config":`)
			want := `{"name":"` + name + `","config":` + strings.TrimSuffix(config, "}}") + `,"name":"` + name + `"},"tasks":[],"type":"source"}`
			if code != 201 || answer != want {
				t.Fatalf("answer %d\n%s\nwant\n%s", code, answer, want)
			}
			r := follow(t, m.Kafka, prefix)
			expect := func(ops ...string) {
				t.Helper()
				harness.Await(t, 30*time.Second, fmt.Sprint("events ", ops), func() error {
					var got []string
					for _, x := range r.records() {
						if x.Topic != prefix+"."+db+".myTable" {
							return fmt.Errorf("record in topic %s", x.Topic)
						}
						var e struct{ Payload struct{ Op string } }
						if x.Value != nil && json.Unmarshal(x.Value, &e) == nil {
							got = append(got, e.Payload.Op)
						}
					}
					if fmt.Sprint(got) != fmt.Sprint(ops) {
						return fmt.Errorf("got %v; %s", got, status(t, m, name))
					}
					return nil
				})
			}
			expect("r", "r")
			harness.Exec(t, c, "insert into "+db+".myTable values (3,'three',now())", "insert into "+db+".other values (1)",
				"update "+db+".myTable set name='ONE' where id=1", "delete from "+db+".myTable where id=2")
			expect("r", "r", "c", "u", "d")
			if s := status(t, m, name); !strings.Contains(s, "topic.prefix") {
				t.Errorf("status does not name the new key of database.server.name: %s", s)
			}
			if code, body := m.Call(t, "DELETE", "/connectors/"+name, nil); code != 204 {
				t.Errorf("delete: %d %s", code, body)
			}
		})
	}
}

func status(t *testing.T, m *harness.Mesh, name string) string {
	_, body := m.Call(t, "GET", "/connectors/"+name+"/status", nil)
	return body
}

package integration

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/rowmesh/rowmesh/integration/harness"
)

// TestLostShapes takes the versions of tables out of etcd, and the capturer's memory of them, while rows wait whose columns have other names today, of the same types: they
// come as they were written, from the schema history. A history with a record that is none stops the connector that needs it, with the record's place; another goes on.
func TestLostShapes(t *testing.T) {
	addr := harness.Addr(t, harness.MySQL)
	m := harness.Start(t, harness.Size{Coordinators: 1, Capturers: 1, Publishers: 1}, nil)
	c := harness.Root(t, addr)
	plain := map[string]string{"key.converter.schemas.enable": "false", "value.converter.schemas.enable": "false"}
	for _, db := range []string{"lostshapes", "otherlost"} {
		harness.Exec(t, c, "drop database if exists "+db, "create database "+db, "use "+db, "create table t (id int primary key, name varchar(20), note varchar(20))", "insert into t values (1, 'n1', 'o1')")
		m.Create(t, db, m.Connector(harness.MySQL, addr, db, db, plain))
	}
	rows, others := follow(t, m.Kafka, "lostshapes"), follow(t, m.Kafka, "otherlost")
	comes := func(r *reader, topic, text string) {
		t.Helper()
		harness.Await(t, 30*time.Second, text, func() error {
			for _, x := range r.records() {
				if x.Topic == topic && strings.Contains(string(x.Value), text) {
					return nil
				}
			}
			return fmt.Errorf("%d records, %s", len(r.records()), status(t, m, "lostshapes"))
		})
	}
	const topic = "lostshapes.lostshapes.t"
	comes(rows, topic, `"after":{"id":1,"name":"n1","note":"o1"}`)
	harness.Exec(t, c, "use lostshapes", "alter table t change note remark varchar(20)", "insert into t values (2, 'n2', 'r2')")
	comes(rows, topic, `"after":{"id":2,"name":"n2","remark":"r2"}`)
	stop := func() {
		t.Helper()
		m.Call(t, http.MethodPut, "/connectors/lostshapes/stop", nil)
		harness.Await(t, 20*time.Second, "stop", func() error {
			if s := status(t, m, "lostshapes"); !strings.Contains(s, `"tasks":[]`) {
				return fmt.Errorf("status %s", s)
			}
			return nil
		})
	}
	lose := func() {
		t.Helper()
		m.Process("capturer-1").Kill()
		etcd, err := clientv3.New(clientv3.Config{Endpoints: []string{m.Etcd}, DialTimeout: 10 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		defer etcd.Close()
		keys, err := etcd.Get(t.Context(), "/", clientv3.WithPrefix(), clientv3.WithKeysOnly())
		if err != nil {
			t.Fatal(err)
		}
		lost := 0
		for _, kv := range keys.Kvs {
			if k := string(kv.Key); strings.Contains(k, "/tables/") && strings.Contains(k, "/lostshapes/") {
				if _, err := etcd.Delete(t.Context(), k); err != nil {
					t.Fatal(err)
				}
				lost++
			}
		}
		if lost == 0 {
			t.Fatal("no version of a table is in etcd")
		}
		m.Spawn(t, "capturer-1")
		m.Call(t, http.MethodPut, "/connectors/lostshapes/resume", nil)
	}
	stop()
	harness.Exec(t, c, "use lostshapes", "insert into t values (3, 'n3', 'r3')", "alter table t change name remark2 varchar(20), change remark name varchar(20)", "insert into t values (4, 'n4', 'r4')")
	lose()
	comes(rows, topic, `"after":{"id":3,"name":"n3","remark":"r3"}`)
	comes(rows, topic, `"after":{"id":4,"remark2":"n4","name":"r4"}`)

	stop()
	harness.Exec(t, c, "insert into lostshapes.t values (5, 'n5', 'r5')")
	cl, err := kgo.NewClient(kgo.SeedBrokers(m.Kafka))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "history-lostshapes", Value: []byte(`{"order":7}`)}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	lose()
	harness.Await(t, 30*time.Second, "a status that names the record", func() error {
		s := status(t, m, "lostshapes")
		for _, w := range []string{`"FAILED"`, "history-lostshapes", "offset ", "source.server", "snapshot.mode=recovery"} {
			if !strings.Contains(s, w) {
				return fmt.Errorf("status does not say %s: %s", w, s)
			}
		}
		return nil
	})
	harness.Exec(t, c, "insert into otherlost.t values (2, 'n2', 'o2')")
	comes(others, "otherlost.otherlost.t", `"after":{"id":2,"name":"n2","note":"o2"}`)
}

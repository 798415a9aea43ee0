package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
)

const (
	demoDatabase  = "shop"
	demoConnector = "shop-connector"
	demoPrefix    = "demo"
)

// demoTables are made if absent; the rows in them are the snapshot.
var demoTables = []string{
	"create database if not exists " + demoDatabase,
	"create table if not exists " + demoDatabase + ".customers (id bigint primary key auto_increment, name varchar(60) not null, email varchar(120), since date not null)",
	"create table if not exists " + demoDatabase + `.orders (id bigint primary key auto_increment, customer bigint not null, status enum('new','paid','sent') not null default 'new',
		total decimal(10,2) not null, note json, placed datetime(3) not null, key (customer))`,
	"insert ignore into " + demoDatabase + ".customers (id, name, email, since) values (1,'Ada','ada@example.org','2024-01-05'),(2,'Grace','grace@example.org','2024-03-17'),(3,'홍길동',null,'2025-11-30')",
}

// database says where the demo writes.
type database struct{ addr, user, password string }

func (d database) connect(ctx context.Context) (*client.Conn, error) {
	c, err := client.ConnectWithContext(ctx, d.addr, d.user, d.password, "", 5*time.Second)
	if err != nil {
		return nil, fmt.Errorf("connect to the database at %s as %s: %w", d.addr, d.user, err)
	}
	_, err = c.Execute("set names utf8mb4")
	return c, err
}

// prepare makes the demo's tables.
func (d database) prepare(ctx context.Context) error {
	c, err := d.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	for _, q := range demoTables {
		if _, err := c.Execute(q); err != nil {
			return fmt.Errorf("demo table: %w", err)
		}
	}
	return nil
}

// traffic changes rows a few times a second, and a table's shape once a minute, until ctx ends.
func (d database) traffic(ctx context.Context) error {
	c, err := d.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	tick := time.NewTicker(150 * time.Millisecond) // slow enough to follow on a screen
	defer tick.Stop()
	ddl := time.NewTicker(time.Minute)
	defer ddl.Stop()
	for column := false; ; {
		var q string
		select {
		case <-ctx.Done():
			return nil
		case <-ddl.C:
			column = !column
			q = "alter table " + demoDatabase + ".orders drop column gift"
			if column {
				q = "alter table " + demoDatabase + ".orders add column gift tinyint(1) not null default 0"
			}
			c.Execute(q) // fails when an earlier run left the column: the next minute's statement fits again
			continue
		case <-tick.C:
			q = change()
		}
		if _, err := c.Execute(q); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("demo traffic: %w", err)
		}
	}
}

// change returns one statement of a shop's day.
func change() string {
	t := demoDatabase + ".orders"
	switch n := rand.IntN(20); {
	case n < 9:
		return fmt.Sprintf(`insert into %s (customer, total, note, placed) values (%d, %d.%02d, '{"items": %d, "gift": false}', now(3))`, t, 1+rand.IntN(3), 5+rand.IntN(200), rand.IntN(100), 1+rand.IntN(5))
	case n < 16:
		return fmt.Sprintf("update %s set status = if(status='new','paid','sent') where status <> 'sent' order by id desc limit 1", t)
	case n < 18:
		return fmt.Sprintf("delete from %s where status = 'sent' order by id limit 1", t)
	case n < 19:
		return fmt.Sprintf("insert into %s.customers (name, email, since) values ('Customer %d', 'c%d@example.org', current_date)", demoDatabase, rand.IntN(1000), rand.IntN(1000))
	}
	return fmt.Sprintf("update %s.customers set email = 'new%d@example.org' order by rand() limit 1", demoDatabase, rand.IntN(1000))
}

// connector is the config that the demo posts: Debezium's own option names.
func connectorConfig(mariadb bool, host, port, user, password, kafka string) map[string]string {
	class := "io.debezium.connector.mysql.MySqlConnector"
	if mariadb {
		class = "io.debezium.connector.mariadb.MariaDbConnector"
	}
	return map[string]string{
		"connector.class": class, "tasks.max": "2",
		"database.hostname": host, "database.port": port, "database.user": user, "database.password": password, "database.server.id": "10000",
		"topic.prefix": demoPrefix, "database.include.list": demoDatabase,
		"schema.history.internal.kafka.bootstrap.servers": kafka, "schema.history.internal.kafka.topic": "schema-history." + demoPrefix,
		"key.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter": "org.apache.kafka.connect.json.JsonConverter",
		"key.converter.schemas.enable": "false", "value.converter.schemas.enable": "false",
	}
}

// createConnector creates the connector, or updates its config where an earlier run left it.
func createConnector(ctx context.Context, rest string, config map[string]string) error {
	code, body, err := call(ctx, http.MethodPost, rest+"/connectors", map[string]any{"name": demoConnector, "config": config})
	if err != nil {
		return err
	}
	if code == http.StatusConflict {
		code, body, err = call(ctx, http.MethodPut, rest+"/connectors/"+demoConnector+"/config", config)
		if err != nil {
			return err
		}
	}
	if code/100 != 2 {
		return fmt.Errorf("the REST API refused the connector: %d %s", code, body)
	}
	return nil
}

func call(ctx context.Context, method, url string, body any) (int, string, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return 0, "", err
	}
	q, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(b))
	if err != nil {
		return 0, "", err
	}
	q.Header.Set("Content-Type", "application/json")
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		return 0, "", err
	}
	defer r.Body.Close()
	b, err = io.ReadAll(io.LimitReader(r.Body, 1<<20))
	return r.StatusCode, string(b), err
}

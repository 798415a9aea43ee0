package fault

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/rowmesh/rowmesh/deploy/servers"
)

// Call does a request to the REST API of the first coordinator that answers. body is sent as JSON unless it is nil.
func (c *Cluster) Call(ctx context.Context, method, path string, body any) (code int, answer string) {
	for _, name := range c.Names("coordinator") {
		if !c.Alive(name) {
			continue
		}
		var r io.Reader
		if body != nil {
			j, err := json.Marshal(body)
			if err != nil {
				return 0, err.Error()
			}
			r = bytes.NewReader(j)
		}
		code, answer = call(ctx, method, c.Members[name].REST+path, r)
		if code != 0 {
			return code, answer
		}
	}
	if answer == "" {
		answer = "no coordinator runs"
	}
	return code, answer
}

// callTimeout is that of one request; one coordinator that does not answer is followed by the next.
const callTimeout = 10 * time.Second

func call(ctx context.Context, method, url string, body io.Reader) (int, string) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return 0, err.Error()
	}
	q.Header.Set("Content-Type", "application/json")
	p, err := http.DefaultClient.Do(q)
	if err != nil {
		return 0, err.Error()
	}
	defer p.Body.Close()
	b, err := io.ReadAll(p.Body)
	if err != nil {
		return 0, err.Error()
	}
	return p.StatusCode, string(b)
}

// Task is one task of a connector as its status tells.
type Task struct {
	ID     int    `json:"id"`
	State  string `json:"state"`
	Worker string `json:"worker_id"`
	Trace  string `json:"trace"`
}

// Tasks returns the tasks of a connector, and the status as it was told.
func (c *Cluster) Tasks(ctx context.Context, connector string) ([]Task, string, error) {
	code, body := c.Call(ctx, http.MethodGet, "/connectors/"+connector+"/status", nil)
	var s struct {
		Tasks []Task `json:"tasks"`
	}
	if err := json.Unmarshal([]byte(body), &s); code != http.StatusOK || err != nil {
		return nil, body, fmt.Errorf("status of %s: %d %s", connector, code, body)
	}
	return s.Tasks, body, nil
}

// Running returns nil if all tasks of a connector run, of which there must be as many.
func (c *Cluster) Running(ctx context.Context, connector string, tasks int) error {
	all, body, err := c.Tasks(ctx, connector)
	if err != nil {
		return err
	}
	n := 0
	for _, t := range all {
		if t.State == "RUNNING" {
			n++
		}
	}
	if n != tasks || len(all) != tasks {
		return fmt.Errorf("%d of %d tasks run: %s", n, tasks, body)
	}
	return nil
}

// WorkerOf returns the name of the publisher that runs a task.
func (c *Cluster) WorkerOf(ctx context.Context, connector string, task int) (string, error) {
	all, body, err := c.Tasks(ctx, connector)
	if err != nil {
		return "", err
	}
	for _, t := range all {
		if t.ID != task {
			continue
		}
		for _, name := range c.Names("publisher") {
			if c.Net.Proxy(name).Addr == t.Worker {
				return name, nil
			}
		}
	}
	return "", fmt.Errorf("nobody runs task %d: %s", task, body)
}

// CapturerOf returns the name of the capturer that serves a source: the one to which publishers are connected, or whose dump threads there are.
func (c *Cluster) CapturerOf(proxy string) (string, error) {
	for _, name := range c.Names("capturer") {
		if c.Alive(name) && c.Net.Connections(name, proxy) > 0 {
			return name, nil
		}
	}
	return "", fmt.Errorf("no capturer is connected to %s", proxy)
}

// Config is a connector's config with what every connector needs, for the database behind a proxy; more replaces and adds.
func (c *Cluster) Config(name, proxy, database string, more map[string]string) map[string]string {
	host, port := hostPort(c.Net.Proxy(proxy).Addr)
	class := "io.debezium.connector.mysql.MySqlConnector"
	if c.Database == servers.MariaDB {
		class = "io.debezium.connector.mariadb.MariaDbConnector"
	}
	kafka := c.Net.Proxy("kafka-1").Addr
	out := map[string]string{
		"connector.class": class, "tasks.max": "1", "database.hostname": host, "database.port": port, "database.user": servers.ConnectorUser,
		"database.password": servers.ConnectorPass, "database.server.id": fmt.Sprint(7000 + crc32.ChecksumIEEE([]byte(name))%50000), "topic.prefix": name,
		"database.include.list": database, "schema.history.internal.kafka.bootstrap.servers": kafka, "schema.history.internal.kafka.topic": "history-" + name,
		"key.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter": "org.apache.kafka.connect.json.JsonConverter",
		"key.converter.schemas.enable": "false", "value.converter.schemas.enable": "false", "include.schema.changes": "false",
	}
	maps.Copy(out, more)
	return out
}

// Create creates a connector and waits until its tasks stream.
func (c *Cluster) Create(ctx context.Context, name string, config map[string]string, tasks int) error {
	err := Until(ctx, 30*time.Second, "connector "+name, func() error {
		code, body := c.Call(ctx, http.MethodPost, "/connectors", map[string]any{"name": name, "config": config})
		if code != http.StatusCreated && code != http.StatusConflict {
			return fmt.Errorf("%d %s", code, body)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return Until(ctx, time.Minute, "connector "+name+" to stream", func() error {
		if err := c.Running(ctx, name, tasks); err != nil {
			return err
		}
		_, body := c.Call(ctx, http.MethodGet, "/connectors/"+name+"/offsets", nil)
		if !strings.Contains(body, `"pos"`) || strings.Contains(body, "INITIAL") {
			return fmt.Errorf("offsets %s", body)
		}
		return nil
	})
}

// Delete deletes a connector.
func (c *Cluster) Delete(ctx context.Context, name string) error {
	return Until(ctx, 30*time.Second, "deletion of "+name, func() error {
		if code, body := c.Call(ctx, http.MethodDelete, "/connectors/"+name, nil); code/100 != 2 && code != http.StatusNotFound {
			return fmt.Errorf("%d %s", code, body)
		}
		return nil
	})
}

// RestartTasks restarts a connector's tasks, as a user does who has mended what they stopped for.
func (c *Cluster) RestartTasks(ctx context.Context, name string) error {
	return Until(ctx, 30*time.Second, "restart of "+name, func() error {
		if code, body := c.Call(ctx, http.MethodPost, "/connectors/"+name+"/restart?includeTasks=true", nil); code/100 != 2 {
			return fmt.Errorf("%d %s", code, body)
		}
		return nil
	})
}

// Failed waits until a task of a connector is FAILED and its trace holds all of some words.
func (c *Cluster) Failed(ctx context.Context, name string, limit time.Duration, words ...string) error {
	return Until(ctx, limit, "honest stop of "+name, func() error {
		all, body, err := c.Tasks(ctx, name)
		if err != nil {
			return err
		}
		for _, t := range all {
			if t.State != "FAILED" {
				continue
			}
			for _, w := range words {
				if !strings.Contains(strings.ToLower(t.Trace), strings.ToLower(w)) {
					return fmt.Errorf("the trace does not say %q: %s", w, t.Trace)
				}
			}
			return nil
		}
		return fmt.Errorf("no task failed: %s", body)
	})
}

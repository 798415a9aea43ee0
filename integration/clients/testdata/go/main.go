// Command clients takes a connector through its life with one of the Go clients of Kafka Connect: clients NAME URL CONNECTOR CONFIG.json
package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"time"

	gokafka "github.com/go-kafka/connect"
	"github.com/ricardo-ch/go-kafka-connect/v3/lib/connectors"
)

func main() {
	b, err := os.ReadFile(os.Args[4])
	check("read config", err)
	config := map[string]string{}
	check("parse config", json.Unmarshal(b, &config))
	map[string]func(url, name string, config map[string]string){"go-kafka": goKafka, "ricardo": ricardo}[os.Args[1]](os.Args[2], os.Args[3], config)
	fmt.Println("done")
}

func check(what string, err error) {
	if err != nil {
		fmt.Printf("%s: %v\n", what, err)
		os.Exit(1)
	}
}

func want(what string, ok bool, got any) {
	if !ok {
		fmt.Printf("%s: got %+v\n", what, got)
		os.Exit(1)
	}
}

// until polls, as all users of these clients do.
func until(what string, f func() (bool, any)) {
	var last any
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		ok, got := f()
		if ok {
			return
		}
		last = got
	}
	want(what, false, last)
}

func goKafka(url, name string, config map[string]string) {
	c := gokafka.NewClient(url)
	code := func(what string, want int, r *http.Response, err error) {
		check(what, err)
		if r.StatusCode != want {
			check(what, fmt.Errorf("%s", r.Status))
		}
	}
	r, err := c.CreateConnector(&gokafka.Connector{Name: name, Config: config})
	code("create", 201, r, err)
	_, err = c.CreateConnector(&gokafka.Connector{Name: name, Config: config})
	api, typed := err.(gokafka.APIError)
	want("create again", typed && api.Code == 409, err)
	names, r, err := c.ListConnectors()
	code("list", 200, r, err)
	want("list", len(names) > 0, names)
	got, r, err := c.GetConnector(name)
	code("get", 200, r, err)
	config["name"] = name
	want("config", maps.Equal(config, got.Config), got.Config)
	running := func() (bool, any) {
		s, r, err := c.GetConnectorStatus(name)
		return err == nil && r.StatusCode == 200 && s.Connector.State == "RUNNING" && len(s.Tasks) == 1 && s.Tasks[0].State == "RUNNING" && s.Connector.WorkerID != "", s
	}
	until("running", running)
	tasks, r, err := c.GetConnectorTasks(name)
	code("tasks", 200, r, err)
	want("tasks", len(tasks) == 1 && tasks[0].ID.ConnectorName == name, tasks)
	config["heartbeat.interval.ms"] = "60000"
	_, r, err = c.UpdateConnectorConfig(name, config)
	code("update", 200, r, err)
	read, r, err := c.GetConnectorConfig(name)
	code("config", 200, r, err)
	want("updated config", read["heartbeat.interval.ms"] == "60000", read)
	r, err = c.PauseConnector(name)
	code("pause", 202, r, err)
	until("paused", func() (bool, any) {
		s, _, err := c.GetConnectorStatus(name)
		return err == nil && s.Connector.State == "PAUSED", s
	})
	r, err = c.ResumeConnector(name)
	code("resume", 202, r, err)
	r, err = c.RestartConnector(name)
	code("restart", 204, r, err)
	until("running again", running)
	r, err = c.DeleteConnector(name)
	code("delete", 204, r, err)
	_, r, _ = c.GetConnector(name)
	want("deleted", r != nil && r.StatusCode == 404, r)
}

func ricardo(url, name string, config map[string]string) {
	c := connectors.NewClient(url)
	settings := map[string]interface{}{}
	for k, v := range config {
		settings[k] = v
	}
	at := connectors.ConnectorRequest{Name: name}
	// The second argument makes it wait until what it asked for is so, by reads once a second.
	created, err := c.CreateConnector(connectors.CreateConnectorRequest{ConnectorRequest: at, Config: settings}, true)
	check("create", err)
	want("create", created.Code == 201 && created.Name == name, created)
	all, err := c.GetAll()
	check("list", err)
	want("list", all.Code == 200 && len(all.Connectors) > 0, all)
	until("running", func() (bool, any) {
		s, err := c.GetConnectorStatus(at)
		return err == nil && s.ConnectorStatus["state"] == "RUNNING" && len(s.TasksStatus) == 1 && s.TasksStatus[0].State == "RUNNING", s
	})
	settings["heartbeat.interval.ms"] = "60000"
	settings["name"] = name
	updated, err := c.UpdateConnector(connectors.CreateConnectorRequest{ConnectorRequest: at, Config: settings}, true)
	check("update", err)
	want("update", updated.Code == 200, updated)
	same, err := c.IsUpToDate(name, settings)
	check("compare", err)
	want("compare", same, same)
	paused, err := c.PauseConnector(at, true)
	check("pause", err)
	want("pause", paused.Code == 202, paused)
	resumed, err := c.ResumeConnector(at, true)
	check("resume", err)
	want("resume", resumed.Code == 202, resumed)
	restarted, err := c.RestartConnector(at)
	check("restart", err)
	want("restart", restarted.Code == 204, restarted)
	until("task 0", func() (bool, any) { // it reads nothing of the answer but the code
		s, err := c.GetTaskStatus(connectors.TaskRequest{Connector: name})
		return err == nil && s.Code == 200, s
	})
	task, err := c.RestartTask(connectors.TaskRequest{Connector: name})
	check("restart task", err)
	want("restart task", task.Code == 204, task)
	deleted, err := c.DeleteConnector(at, true)
	check("delete", err)
	want("delete", deleted.Code == 204, deleted)
}

package publisher

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/registry"
	"github.com/rowmesh/rowmesh/services/source"
)

// fakeDatabase is a source whose sessions answer by a script.
type fakeDatabase struct {
	answers []error // of statements, then nil
	log     []string
}

func (f *fakeDatabase) connect(context.Context) (session, error) {
	f.log = append(f.log, "connect")
	return fakeQueries{f}, nil
}

type fakeQueries struct{ *fakeDatabase }

func (f fakeQueries) Exec(_ context.Context, sql string) error {
	f.log = append(f.log, sql)
	if len(f.answers) == 0 {
		return nil
	}
	err := f.answers[0]
	f.fakeDatabase.answers = f.answers[1:]
	return err
}

func (f fakeQueries) Close() error {
	f.fakeDatabase.log = append(f.fakeDatabase.log, "close")
	return nil
}

func TestHeartbeatAction(t *testing.T) {
	lost := errs.E(errs.Unavailable, "the connection was lost")
	for _, c := range []struct {
		name    string
		answers []error
		log     []string // after 3.5 intervals, and the end
		told    []string
		fails   bool
	}{
		{"works", nil, []string{"connect", "Q", "Q", "Q", "close"}, []string{"", "", ""}, false},
		{"the connection breaks", []error{nil, lost, nil}, []string{"connect", "Q", "Q", "close", "connect", "Q", "close"}, []string{"", "lost", ""}, false},
		{"no such table", []error{&source.ServerError{Code: 1146, State: "42S02", Message: "no table"}}, []string{"connect", "Q", "close", "connect", "Q", "Q", "close"}, []string{"no table", "", ""}, false},
		{"a mistake", []error{&source.ServerError{Code: 1064, State: "42000", Message: "syntax"}}, []string{"connect", "Q", "close"}, []string{"syntax"}, true},
		{"no database", []error{&source.ServerError{Code: 1046, State: "3D000", Message: "no db"}}, []string{"connect", "Q", "close"}, []string{"no db"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				src, woken := &fakeDatabase{answers: c.answers}, 0
				var told []string
				a := &action{query: "Q", every: time.Second, connect: src.connect, wake: func() { woken++ }, tell: func(err error) { told = append(told, fmt.Sprint(err)) }}
				a.start(t.Context())
				time.Sleep(3500 * time.Millisecond)
				synctest.Wait()
				a.close()
				if d := cmp.Diff(c.log, src.log); d != "" {
					t.Error(d)
				}
				for i, want := range c.told {
					if i >= len(told) || !strings.Contains(told[i], want) || want != "" && !strings.Contains(told[i], "heartbeat.action.query, Q: ") {
						t.Errorf("told %q, want %q", told, c.told)
						break
					}
				}
				if err := a.failed(); (err != nil) != c.fails || (woken > 0) != c.fails || c.fails && errs.KindOf(err) != errs.Invalid {
					t.Errorf("failed %v, woken %d", err, woken)
				}
			})
		})
	}
	var none *action
	none.close()
	if none.failed() != nil {
		t.Error("no action fails")
	}
}

func TestHeartbeatActionIsShown(t *testing.T) {
	p, err := New(Config{}, nil, nil, slog.Default(), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	cfg := &config.Connector{HeartbeatQuery: "Q", HeartbeatInterval: time.Second}
	task := newTask(p, registry.LaneID{Connector: "c"})
	a := task.newAction(cfg)
	a.tell(errors.New("broken"))
	if d := cmp.Diff(map[string][]string{"heartbeat.action.query": {"broken"}}, task.status.warnings); d != "" {
		t.Error(d)
	}
	a.tell(nil)
	if len(task.status.warnings) > 0 {
		t.Errorf("still %v", task.status.warnings)
	}
	if other := newTask(p, registry.LaneID{Connector: "c", Task: 1}).newAction(cfg); other != nil {
		t.Error("every task runs the query")
	}
}

func TestHeartbeatActionOnServer(t *testing.T) {
	for _, env := range []string{"ROWMESH_TEST_MYSQL", "ROWMESH_TEST_MARIADB"} {
		t.Run(env, func(t *testing.T) {
			addr := os.Getenv(env)
			if addr == "" || testing.Short() {
				t.Skipf("needs a real server: %s is not set, or -short is", env)
			}
			host, port, _ := net.SplitHostPort(addr)
			number, _ := strconv.Atoi(port)
			root, err := source.Connect(t.Context(), source.Config{Addr: addr, User: "root"})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				root.Exec(context.Background(), "DROP DATABASE IF EXISTS options_action")
				root.Close()
			})
			for _, sql := range []string{"DROP DATABASE IF EXISTS options_action", "CREATE DATABASE options_action", "CREATE TABLE options_action.beats (n INT AUTO_INCREMENT PRIMARY KEY)"} {
				if err := root.Exec(t.Context(), sql); err != nil {
					t.Fatal(err)
				}
			}
			p, err := New(Config{}, nil, nil, slog.Default(), prometheus.NewRegistry())
			if err != nil {
				t.Fatal(err)
			}
			a := newTask(p, registry.LaneID{Connector: "c"}).newAction(&config.Connector{Hostname: host, Port: number, User: "root", HeartbeatInterval: 10 * time.Millisecond,
				HeartbeatQuery: "INSERT INTO options_action.beats VALUES (NULL)"})
			a.start(t.Context())
			defer a.close()
			for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
				res, err := root.Query(t.Context(), "SELECT COUNT(*) AS n FROM options_action.beats")
				if err != nil {
					t.Fatal(err)
				}
				if n, _ := strconv.Atoi(res.Get(0, "n")); n >= 3 {
					return
				}
				if time.Since(begin) > 30*time.Second {
					t.Fatal("the query has not run three times")
				}
			}
		})
	}
}

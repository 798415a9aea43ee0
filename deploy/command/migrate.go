package command

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
)

// migration moves connectors between Kafka Connect and the mesh. It speaks the REST API with both and stands outside of either: what it has done to a connector
// is undone if the rest cannot be done.
type migration struct {
	connectors
	other connection // of Kafka Connect's worker
	dry   bool
	all   bool
	// history is the topic for Debezium's schema history on the way back.
	history string
	out     io.Writer
}

// migrate returns the commands.
func migrate() *cobra.Command {
	m := &migration{}
	c := &cobra.Command{Use: "migrate", Short: "Take connectors over from Kafka Connect with Debezium, and give them back"}
	m.connection.flags(c.PersistentFlags())
	f := c.PersistentFlags()
	f.StringVar(&m.other.server, "connect", "", "base URL of Kafka Connect's REST API, as http://connect:8083")
	f.StringVar(&m.other.user, "connect-user", "", "name of a user there; the password is $CONNECT_PASSWORD")
	f.StringVar(&m.other.caFile, "connect-ca", "", "PEM certificates of the authority that its certificate comes from")
	f.BoolVar(&m.dry, "dry-run", false, "say what would be done, and what stands in the way, and do nothing")
	f.DurationVar(&m.timeout, "timeout", 2*time.Minute, "how long each step may take")
	c.MarkPersistentFlagRequired("connect")
	c.AddCommand(m.connect(), m.back())
	return c
}

func (m *migration) connect() *cobra.Command {
	c := &cobra.Command{
		Use: "connect NAME...|--all", Short: "Take connectors over from a running Kafka Connect, without a new snapshot",
		Long: "For each connector: checks its config here, stops it there, takes over its offset, and goes on here in the same topics. Nothing is lost, and nothing comes\n" +
			"twice, because a stopped connector's offset covers what it has written. It stays there, stopped, until you delete it.",
		RunE: func(c *cobra.Command, names []string) error {
			return m.each(c, names, m.takeOver)
		},
	}
	c.Flags().BoolVar(&m.all, "all", false, "all connectors for MySQL and MariaDB")
	return c
}

func (m *migration) back() *cobra.Command {
	c := &cobra.Command{
		Use: "back NAME...", Short: "Give connectors back to Kafka Connect with Debezium, without a new snapshot", Args: cobra.MinimumNArgs(1), ValidArgsFunction: m.names,
		Long: "For each connector: stops it here, makes it there if it is not there any more, sets its offset there, and lets Debezium rebuild its schema history, in a topic of\n" +
			"its own, from the tables as they are now (snapshot.mode=recovery). It stays here, stopped, until you delete it. Change no table meanwhile.",
		RunE: func(c *cobra.Command, names []string) error {
			return m.each(c, names, m.giveBack)
		},
	}
	c.Flags().StringVar(&m.history, "history-topic", "", "topic for the schema history (default: the connector's with the time behind it)")
	return c
}

// each moves each connector and goes on after one that could not be moved.
func (m *migration) each(c *cobra.Command, names []string, move func(ctx context.Context, here, there *api, name string) error) error {
	m.out = c.OutOrStdout()
	there, err := m.other.openOther()
	if err != nil {
		return err
	}
	if m.all {
		if names, err = mine(c.Context(), there); err != nil {
			return err
		}
	}
	if len(names) == 0 {
		return usage{errs.E(errs.Invalid, "no connector named; give names, or --all")}
	}
	return m.eachName(c, names, func(here *api, name string) error { return move(c.Context(), here, there, name) })
}

// openOther returns a client of Kafka Connect: contexts and the mesh's environment are not for it.
func (c *connection) openOther() (*api, error) {
	plain := connection{server: c.server, caFile: c.caFile}
	a, err := plain.open()
	if err != nil {
		return nil, err
	}
	a.user, a.password = c.user, os.Getenv("CONNECT_PASSWORD")
	return a, nil
}

// mine returns the connectors that can be taken over.
func mine(ctx context.Context, there *api) ([]string, error) {
	var all map[string]struct {
		Info struct{ Config map[string]string }
	}
	if err := there.get(ctx, "/connectors?expand=info", &all); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Sorted(maps.Keys(all)), func(n string) bool { return !debezium(all[n].Info.Config) }), nil
}

func debezium(cfg map[string]string) bool {
	return slices.Contains([]string{config.MySQLClass, config.MariaDBClass}, cfg["connector.class"])
}

func (m *migration) say(name, format string, args ...any) {
	fmt.Fprintf(m.out, "%s: %s\n", name, fmt.Sprintf(format, args...))
}

// takeOver moves one connector here.
func (m *migration) takeOver(ctx context.Context, here, there *api, name string) error {
	f := connectorFile{Name: name, State: "STOPPED"}
	if err := there.get(ctx, connectorPath(name, "config"), &f.Config); err != nil {
		return err
	}
	var cfg map[string]string
	if err := json.Unmarshal(f.Config, &cfg); err != nil || !debezium(cfg) {
		return errs.E(errs.Unsupported, "its class is %s; what can be taken over is %s and %s", cfg["connector.class"], config.MySQLClass, config.MariaDBClass)
	}
	switch _, err := here.do(ctx, http.MethodGet, connectorPath(name), nil); {
	case err == nil:
		return errs.E(errs.Exists, "a connector of that name is here already; delete it first: rowmesh connector delete %s", name)
	case !answered(err, http.StatusNotFound):
		return err
	}
	problems, err := validateFile(ctx, here, f)
	if err != nil {
		return err
	}
	if len(problems) > 0 {
		var texts []string
		for _, p := range problems {
			texts = append(texts, p.Option+": "+p.Text)
		}
		return findings{"its config does not work here; nothing was changed: " + strings.Join(texts, "; ")}
	}
	if m.dry {
		offsets, err := m.offsetsOf(ctx, there, name)
		if err != nil {
			return err
		}
		m.say(name, "would be stopped there and go on here from about %s", offsets.Offsets[0].Offset)
		return nil
	}
	m.say(name, "stopping it in Kafka Connect")
	state, err := m.stop(ctx, there, name)
	if err != nil {
		return m.undone(ctx, err, there, state, nil, name)
	}
	offsets, err := m.offsetsOf(ctx, there, name)
	if err != nil {
		return m.undone(ctx, err, there, state, nil, name)
	}
	body, err := f.body()
	if err != nil {
		return m.undone(ctx, err, there, state, nil, name)
	}
	if _, err := here.do(ctx, http.MethodPost, "/connectors", body); err != nil {
		return m.undone(ctx, err, there, state, nil, name)
	}
	if err := m.begin(ctx, here, name, offsets, state); err != nil {
		return m.undone(ctx, err, there, state, here, name)
	}
	m.say(name, "goes on here from %s; delete it there once you are content: curl -X DELETE %s%s", offsets.Offsets[0].Offset, there.base, connectorPath(name))
	return nil
}

// begin sets the offset of a stopped connector and gives it a state.
func (m *migration) begin(ctx context.Context, a *api, name string, o offsetList, state string) error {
	if err := m.await(ctx, a, name, stopped); err != nil {
		return err
	}
	body, err := json.Marshal(o)
	if err != nil {
		return err
	}
	if err := m.settled(ctx, func() error {
		_, err := a.do(ctx, http.MethodPatch, connectorPath(name, "offsets"), body)
		return err
	}); err != nil {
		return fmt.Errorf("set its offset: %w", err)
	}
	return m.enter(ctx, a, name, state)
}

// enter gives a stopped connector a state that it had elsewhere, and waits until it has it. One that had failed may run: what failed may be mended.
func (m *migration) enter(ctx context.Context, a *api, name, state string) error {
	verb, good := "resume", running
	switch state {
	case "STOPPED":
		return nil
	case "PAUSED":
		verb, good = "pause", func(s connectorStatus) bool { return s.is(state) }
	}
	if err := m.settled(ctx, func() error {
		_, err := a.do(ctx, http.MethodPut, connectorPath(name, verb), nil)
		return err
	}); err != nil {
		return err
	}
	return m.await(ctx, a, name, good)
}

// giveBack moves one connector to Kafka Connect.
func (m *migration) giveBack(ctx context.Context, here, there *api, name string) (err error) {
	var cfg map[string]string
	if err := here.get(ctx, connectorPath(name, "config"), &cfg); err != nil {
		return err
	}
	back, topic := backConfig(cfg, cmp.Or(m.history, cfg["schema.history.internal.kafka.topic"]+time.Now().UTC().Format("-20060102-150405")))
	if m.dry {
		offsets, err := m.offsetsOf(ctx, here, name)
		if err != nil {
			return err
		}
		m.say(name, "would be stopped here and go on there from about %s, with its schema history in topic %s", offsets.Offsets[0].Offset, topic)
		return nil
	}
	if several(cfg) {
		if err := m.gather(ctx, here, name, cfg); err != nil {
			return err
		}
		defer func() { // it keeps its own config, whatever becomes of it
			if perr := m.put(context.WithoutCancel(ctx), here, name, cfg); perr != nil {
				err = errors.Join(err, fmt.Errorf("its config here still has tasks.max=1: %w", perr))
			}
		}()
	}
	return m.hand(ctx, here, there, name, cfg, back, topic)
}

// hand stops a connector here and lets it go on there.
func (m *migration) hand(ctx context.Context, here, there *api, name string, cfg, back map[string]string, topic string) error {
	m.say(name, "stopping it here")
	state, err := m.stop(ctx, here, name)
	if err != nil {
		return m.undone(ctx, err, here, state, nil, name)
	}
	offsets, err := m.offsetsOf(ctx, here, name)
	if err != nil {
		return m.undone(ctx, err, here, state, nil, name)
	}
	before, err := m.prepare(ctx, there, name, back)
	if err == nil {
		err = m.begin(ctx, there, name, offsets, state)
	}
	recovered := false
	if err == nil && state == "RUNNING" {
		recovered, err = m.moved(ctx, there, name, offsets)
	}
	if err == nil && recovered { // recovery is for one start: it would hide a history that is lost later
		if err = m.put(ctx, there, name, withMode(back, cfg["snapshot.mode"])); err == nil {
			err = m.await(ctx, there, name, running)
		}
	}
	if err != nil {
		made := there
		if before != nil { // it was there already, and stays, as it was
			made = nil
			if _, serr := m.stop(ctx, there, name); serr != nil {
				return fmt.Errorf("%w; it could NOT be stopped at %s again (%w), so it was not let go on here: do both by hand, in this order", err, there.base, serr)
			}
			if perr := m.put(ctx, there, name, before); perr != nil {
				err = fmt.Errorf("%w; its config at %s is not the one from before: %w", err, there.base, perr)
			}
		}
		return m.undone(ctx, err, here, state, made, name)
	}
	if !recovered {
		m.say(name, "its offset there has not moved yet, so its config there still has snapshot.mode=recovery: change it back once it has")
	}
	m.say(name, "goes on in Kafka Connect from %s, with its schema history in topic %s; delete it here once you are content: rowmesh connector delete %s",
		offsets.Offsets[0].Offset, topic, name)
	return nil
}

// moved waits until a connector's offset is another one than it was set to: it has rebuilt its schema history then, and streams. Kafka Connect stores offsets once a
// minute unless it is told otherwise, and a source where nothing happens moves none; then it returns false after a while. A task that fails is an error.
func (m *migration) moved(ctx context.Context, a *api, name string, from offsetList) (bool, error) {
	for end := time.Now().Add(m.timeout); time.Now().Before(end); {
		var now offsetList
		var status connectorStatus
		if err := m.settled(ctx, func() error { return a.get(ctx, connectorPath(name, "offsets"), &now) }); err != nil {
			return false, err
		}
		if err := m.settled(ctx, func() error { return a.get(ctx, connectorPath(name, "status"), &status) }); err != nil {
			return false, err
		}
		if slices.ContainsFunc(status.Tasks, func(t taskStatus) bool { return t.State == "FAILED" }) {
			return false, errs.E(errs.Unavailable, "its task there failed: %s", status.summary())
		}
		if len(now.Offsets) == 1 && !samePlace(now.Offsets[0].Offset, from.Offsets[0].Offset) {
			return true, nil
		}
		if err := pause(ctx); err != nil {
			return false, err
		}
	}
	return false, nil
}

// samePlace compares what moves in an offset; a connector may spell the rest in its own way when it stores it again.
func samePlace(a, b json.RawMessage) bool {
	type place struct {
		File, Gtids string
		Pos         json.Number
	}
	var x, y place
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && x == y
}

// backConfig is the config for the first start with Debezium, and the topic of its schema history.
func backConfig(cfg map[string]string, topic string) (map[string]string, string) {
	back := withMode(cfg, "recovery")
	if several(cfg) { // Debezium refuses more than one
		back["tasks.max"] = "1"
	}
	if cfg["schema.history.internal.kafka.topic"] != "" {
		back["schema.history.internal.kafka.topic"] = topic
	}
	return back, back["schema.history.internal.kafka.topic"]
}

// withMode returns a config with another snapshot.mode; an empty one is left out.
func withMode(cfg map[string]string, mode string) map[string]string {
	out := maps.Clone(cfg)
	delete(out, "snapshot.mode")
	if mode != "" {
		out["snapshot.mode"] = mode
	}
	return out
}

// prepare makes sure that Kafka Connect has the connector, stopped. before is the config that it had there, nil if it was not there.
func (m *migration) prepare(ctx context.Context, there *api, name string, cfg map[string]string) (before map[string]string, err error) {
	err = there.get(ctx, connectorPath(name, "config"), &before)
	if answered(err, http.StatusNotFound) {
		body, err := json.Marshal(map[string]any{"name": name, "config": cfg, "initial_state": "STOPPED"})
		if err != nil {
			return nil, err
		}
		return nil, m.settled(ctx, func() error {
			_, err := there.do(ctx, http.MethodPost, "/connectors", body)
			return err
		})
	}
	if err != nil {
		return nil, err
	}
	if _, err := m.stop(ctx, there, name); err != nil {
		return before, err
	}
	return before, m.put(ctx, there, name, cfg)
}

func (m *migration) put(ctx context.Context, a *api, name string, cfg map[string]string) error {
	body, err := json.Marshal(cfg)
	if err != nil {
		return err
	}
	return m.settled(ctx, func() error {
		_, err := a.do(ctx, http.MethodPut, connectorPath(name, "config"), body)
		return err
	})
}

// offsetList is the offsets of a connector as both APIs show and take them.
type offsetList struct {
	Offsets []offsetEntry `json:"offsets"`
}

// offsetsOf returns a connector's place in the log: one, and not in the middle of a snapshot.
func (m *migration) offsetsOf(ctx context.Context, a *api, name string) (offsetList, error) {
	var all offsetList
	err := m.settled(ctx, func() error { return a.get(ctx, connectorPath(name, "offsets"), &all) })
	if answered(err, http.StatusNotFound, http.StatusMethodNotAllowed) {
		return all, errs.E(errs.Unsupported, "%s shows no offsets, which Kafka Connect does since 3.5: %w", a.base, err)
	}
	if err != nil {
		return all, err
	}
	// A connector that once had several tasks here has left their places too; the one of the only task has no number.
	all.Offsets = slices.DeleteFunc(all.Offsets, func(e offsetEntry) bool {
		var partition map[string]any
		return json.Unmarshal(e.Partition, &partition) != nil || len(partition) != 1 || partition["server"] == nil
	})
	if len(all.Offsets) != 1 {
		return all, errs.E(errs.Invalid, "it has %d places in a log, and one is needed: if it has not made its snapshot yet there is nothing to take over", len(all.Offsets))
	}
	var place struct {
		Snapshot any
		File     string
	}
	if err := json.Unmarshal(all.Offsets[0].Offset, &place); err != nil || place.File == "" {
		return all, errs.E(errs.Corrupt, "its offset %s names no binlog file", all.Offsets[0].Offset)
	}
	if place.Snapshot != nil && place.Snapshot != false && place.Snapshot != "" {
		return all, errs.E(errs.Busy, "it is in the middle of its snapshot; wait until that is complete")
	}
	return all, nil
}

// stopped reports whether a connector is stopped and no task of it runs any more: then its offset covers all that it has written.
func stopped(s connectorStatus) bool { return len(s.Tasks) == 0 && s.is("STOPPED") }

// stop stops a connector and returns the state that it had: RUNNING unless it was paused or stopped.
func (m *migration) stop(ctx context.Context, a *api, name string) (state string, err error) {
	var was connectorStatus
	if err := m.settled(ctx, func() error { return a.get(ctx, connectorPath(name, "status"), &was) }); err != nil {
		return "", err
	}
	if state = was.Connector.State; state != "PAUSED" && state != "STOPPED" {
		state = "RUNNING"
	}
	if err := m.settled(ctx, func() error {
		_, err := a.do(ctx, http.MethodPut, connectorPath(name, "stop"), nil)
		return err
	}); err != nil {
		return state, err
	}
	return state, m.await(ctx, a, name, stopped)
}

// settled repeats a request while Kafka Connect is busy with a rebalance, which it answers with 409, or with tasks that are ending.
func (m *migration) settled(ctx context.Context, f func() error) error {
	for end := time.Now().Add(m.timeout); ; {
		err := f()
		busy := answered(err, http.StatusConflict) || answered(err, http.StatusBadRequest) && strings.Contains(err.Error(), "STOPPED state")
		if !busy || time.Now().After(end) {
			return err
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

// undone gives a connector the state that it had where it was (empty: it was not touched), and takes away what was made of it elsewhere (nil: nothing was). It
// returns why, and what could not be undone.
func (m *migration) undone(ctx context.Context, why error, was *api, state string, made *api, name string) error {
	if state == "" {
		return why
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), m.timeout)
	defer cancel()
	if made != nil {
		if _, err := made.do(ctx, http.MethodDelete, connectorPath(name), nil); err != nil && !answered(err, http.StatusNotFound) {
			return fmt.Errorf("%w; it was NOT taken away from %s again (%w), so it was not let go on at %s: do both by hand, in this order", why, made.base, err, was.base)
		}
	}
	if err := m.enter(ctx, was, name, state); err != nil {
		return fmt.Errorf("%w; and at %s it is not %s again: %w", why, was.base, state, err)
	}
	return fmt.Errorf("%w; it is %s at %s again", why, state, was.base)
}

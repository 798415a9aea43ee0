package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"google.golang.org/grpc"

	"github.com/rowmesh/rowmesh/publisher"
	"github.com/rowmesh/rowmesh/publisher/deadletter"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/offset"
	"github.com/rowmesh/rowmesh/services/process"
	"github.com/rowmesh/rowmesh/services/rpc"
)

// deadLetters are the commands on dead letters. They ask the REST API for the connector's config and its state, and Kafka for the rest.
type deadLetters struct {
	connectors
	kafka      string
	properties process.Properties
	converters process.Properties
	secrets    process.Config
	file       string
	security   rpc.Security
	logs       io.Writer
}

// deadLetterCommand returns the commands.
func deadLetterCommand(logs io.Writer) *cobra.Command {
	d := &deadLetters{properties: process.Properties{}, converters: process.Properties{}, logs: logs}
	c := &cobra.Command{Use: "deadletter", Aliases: []string{"deadletters", "dlq"}, Short: "Look at records that could not be sent, and send them again"}
	f := c.PersistentFlags()
	d.connection.flags(f)
	f.StringVar(&d.kafka, "kafka", "127.0.0.1:9092", "bootstrap servers, as the publishers have them")
	goFlag(f, "kafka-property", "librdkafka property, key=value, as the publishers have it; may be given more than once", d.properties)
	f.StringVarP(&d.file, "file", "f", "", "file with the connector's config, instead of what the REST API shows: where that hides passwords")
	c.AddCommand(d.list(), d.replay())
	return c
}

// goFlag declares a flag of package flag's kind.
func goFlag(f *pflag.FlagSet, name, usage string, v interface {
	String() string
	Set(string) error
}) {
	f.Var(pflagValue{v}, name, usage)
}

// pflagValue gives a flag of package flag the type that pflag asks for.
type pflagValue struct {
	value interface {
		String() string
		Set(string) error
	}
}

func (v pflagValue) String() string     { return v.value.String() }
func (v pflagValue) Set(s string) error { return v.value.Set(s) }
func (v pflagValue) Type() string       { return "key=value" }

// config returns a connector's config, with references resolved where the flags allow it.
func (d *deadLetters) config(ctx context.Context, a *api, name string, stdin io.Reader) (*config.Connector, error) {
	var raw map[string]string
	if d.file != "" {
		f, err := readFile(d.file, stdin)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(f.Config, &raw); err != nil {
			return nil, errs.E(errs.Invalid, "%s: %w", d.file, err)
		}
	} else if err := a.get(ctx, connectorPath(name, "config"), &raw); err != nil {
		return nil, err
	}
	for key, v := range raw {
		if v == config.Hidden && config.Secret(key) && (strings.HasPrefix(key, "producer.override.") || strings.Contains(key, ".converter.")) {
			return nil, errs.E(errs.Invalid, "the server hides %s of connector %s, which is needed to send its records: give its config with -f FILE", key, name)
		}
	}
	d.secrets.Converters = d.converters
	secrets, err := d.secrets.Secrets()
	if err != nil {
		return nil, err
	}
	cfg, res := secrets.Parse(name, raw)
	if err := res.Err(); err != nil {
		return nil, err
	}
	if cfg.Errors.DeadLetterTopic == "" {
		return nil, errs.E(errs.Invalid, "connector %s has no errors.deadletterqueue.topic.name, so it has no dead letters", name)
	}
	return cfg, nil
}

func (d *deadLetters) client() map[string]string {
	out := map[string]string{"bootstrap.servers": d.kafka}
	for k, v := range d.properties {
		out[k] = v
	}
	return out
}

// letterView is a letter as list shows it.
type letterView struct {
	Offset   int64  `json:"offset"`
	Time     string `json:"time"`
	Task     uint32 `json:"task"`
	Topic    string `json:"topic"`
	Key      string `json:"key"`
	Stage    string `json:"stage"`
	Class    string `json:"class,omitempty"`
	Position string `json:"position"`
	GTID     string `json:"gtid,omitempty"`
	Error    string `json:"error"`
	Outcome  string `json:"outcome,omitempty"`
}

func viewOf(l *deadletter.Letter) letterView {
	return letterView{l.Offset, l.Time.UTC().Format(time.RFC3339Nano), l.Task, l.Topic, string(l.Key), l.Stage, l.Class, l.Position, l.GTID, l.Message, l.Outcome}
}

// maxListed bounds a list: letters are shown together.
const maxListed = 10_000

func (d *deadLetters) list() *cobra.Command {
	var o output
	var all bool
	c := &cobra.Command{
		Use: "list NAME", Short: "List a connector's dead letters", Args: cobra.ExactArgs(1), ValidArgsFunction: d.names,
		Long: "Lists the records that could not be sent, oldest first: where they come from, where they would have gone, what failed. Letters of which something has become\n" +
			"(they were sent again, or given up) are left out unless --all is given.",
		RunE: func(c *cobra.Command, args []string) error {
			a, err := d.open()
			if err != nil {
				return err
			}
			cfg, err := d.config(c.Context(), a, args[0], c.InOrStdin())
			if err != nil {
				return err
			}
			return o.show(c.Context(), c.OutOrStdout(), func(w io.Writer) error {
				views := []letterView{}
				t := listing{head: []string{"OFFSET", "TIME", "TOPIC", "KEY", "STAGE", "POSITION", "OUTCOME", "ERROR"}}
				err := deadletter.Letters(c.Context(), d.topic(cfg), args[0], func(l *deadletter.Letter) error {
					if l.Outcome != "" && !all {
						return nil
					}
					if len(views) == maxListed {
						return errs.E(errs.Invalid, "there are more than %d letters; read topic %s itself", maxListed, cfg.Errors.DeadLetterTopic)
					}
					v := viewOf(l)
					views = append(views, v)
					t.row(fmt.Sprint(v.Offset), fmt.Sprint(v.Offset), v.Time, v.Topic, v.Key, v.Stage, v.Position, v.Outcome, v.Error)
					return nil
				})
				if err != nil && errs.KindOf(err) != errs.NotFound { // a queue that nothing was ever put into is not there
					return err
				}
				return o.print(w, views, t)
			})
		},
	}
	c.Flags().BoolVar(&all, "all", false, "also letters of which something has become")
	o.flags(c.Flags(), true)
	return c
}

func (d *deadLetters) topic(cfg *config.Connector) deadletter.Topic {
	return deadletter.Topic{Client: offset.ClientOf(d.client(), cfg.Producer), Name: cfg.Errors.DeadLetterTopic}
}

func (d *deadLetters) replay() *cobra.Command {
	var superseded, mesh string
	var skew time.Duration
	var limit int
	var dry bool
	c := &cobra.Command{
		Use: "replay NAME", Short: "Send a connector's dead letters again, once the cause is mended", Args: cobra.ExactArgs(1), ValidArgsFunction: d.names,
		Long: "Takes each letter's row the way that rows of the connector go now, through its transforms and converters, and sends what comes of it: in the order of the\n" +
			"letters, once, in transactions that mark the letters as sent. The connector is paused meanwhile, and goes on afterwards.\n\n" +
			"Newer changes of a letter's key may have been published since. Such a letter is not sent, because the older value would be on top then: it is told, and stays;\n" +
			"--superseded says otherwise. The same holds where that cannot be told: where the topic no longer holds all that came since, or records that name no place in the\n" +
			"log came within --clock-skew of the letter. When a letter fails again, later ones of its key wait for it. The exit code is 3 if any letter was not sent.",
		RunE: func(c *cobra.Command, args []string) error {
			if !regexp.MustCompile(`^(keep|discard|send)$`).MatchString(superseded) {
				return usage{errs.E(errs.Invalid, "--superseded is keep, discard or send, not %q", superseded)}
			}
			a, err := d.open()
			if err != nil {
				return err
			}
			cfg, err := d.config(c.Context(), a, args[0], c.InOrStdin())
			if err != nil {
				return err
			}
			r := publisher.Replay{Name: args[0], Config: cfg, Client: d.client(), MeshName: mesh, Superseded: publisher.Superseded(superseded), Skew: skew, Limit: limit, DryRun: dry,
				Log: slog.New(slog.NewTextHandler(d.logs, &slog.HandlerOptions{Level: slog.LevelWarn})), Dial: func(address string) (*grpc.ClientConn, error) { return rpc.Dial(address, d.security) }}
			return d.run(c, a, r)
		},
	}
	f := c.Flags()
	f.StringVar(&superseded, "superseded", "keep", "what becomes of letters whose key has newer records: keep, discard (mark them as settled) or send (put the older value on top)")
	f.DurationVar(&skew, "clock-skew", 5*time.Second, "how much the clocks of publishers may differ")
	f.IntVar(&limit, "limit", 0, "how many letters are tried at most; 0: all")
	f.BoolVar(&dry, "dry-run", false, "say what would become of each letter, and do nothing")
	f.StringVar(&mesh, "mesh", "rowmesh", "first part of transactional ids, as the publishers have it")
	f.DurationVar(&d.timeout, "timeout", time.Minute, "how long pausing the connector may take")
	f.StringVar(&d.secrets.SecretRoots, "secret-roots", "", "folders, comma-separated, whose files references in the config may name, as the publishers have them")
	f.StringVar(&d.secrets.SecretEnv, "secret-env", "", "regular expression of the variables that references may name, as the publishers have it")
	goFlag(f, "converter", "converter of connectors that name none, as the publishers have it: key.converter=CLASS; may be given more than once", d.converters)
	f.StringVar(&d.security.CertFile, "tls-cert", "", "PEM certificate to show to servers of foreign transforms")
	f.StringVar(&d.security.KeyFile, "tls-key", "", "its key")
	f.StringVar(&d.security.CAFile, "tls-ca", "", "PEM certificates of their authority")
	return c
}

// run replays with the connector paused.
func (d *deadLetters) run(c *cobra.Command, a *api, r publisher.Replay) (err error) {
	if !r.DryRun {
		resume, perr := d.pause(c.Context(), a, r.Name)
		if perr != nil {
			return perr
		}
		defer func() {
			if rerr := resume(); rerr != nil {
				err = errors.Join(err, rerr)
			}
		}()
	}
	counts, failed := map[string]int{}, 0
	r.Tell = func(l *deadletter.Letter, o publisher.Outcome) {
		what := o.Mark
		if what == "" {
			what = "not sent"
			if !o.Failed {
				what = "not tried"
			}
		}
		if o.Failed {
			failed++
		}
		counts[what]++
		text := o.Text
		if text != "" {
			text = ": " + text
		}
		fmt.Fprintf(c.OutOrStdout(), "letter %d (topic %s, key %s, %s) %s%s\n", l.Offset, l.Topic, l.Key, l.Position, what, text)
	}
	err = r.Run(c.Context())
	if errs.KindOf(err) == errs.NotFound {
		err = nil // nothing was ever put into the queue
	}
	fmt.Fprintf(c.OutOrStdout(), "connector %s: %d sent, %d dropped by transforms, %d given up, %d not sent\n", r.Name, counts[publisher.MarkSent], counts[publisher.MarkDropped],
		counts[publisher.MarkSuperseded], failed)
	if err == nil && failed > 0 {
		return findings{fmt.Sprintf("%d dead letters of connector %s were not sent", failed, r.Name)}
	}
	return err
}

// pause makes sure that no task of a connector writes, and returns what gives it back the state that it had.
func (d *deadLetters) pause(ctx context.Context, a *api, name string) (resume func() error, err error) {
	var was connectorStatus
	if err := a.get(ctx, connectorPath(name, "status"), &was); err != nil {
		return nil, err
	}
	if s := was.Connector.State; s == "PAUSED" || s == "STOPPED" {
		return func() error { return nil }, nil
	}
	if _, err := a.do(ctx, http.MethodPut, connectorPath(name, "pause"), nil); err != nil {
		return nil, err
	}
	resume = func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.timeout)
		defer cancel()
		if _, err := a.do(ctx, http.MethodPut, connectorPath(name, "resume"), nil); err != nil {
			return fmt.Errorf("connector %s stays paused: %w; resume it: rowmesh connector resume %s", name, err, name)
		}
		return nil
	}
	quiet := func(s connectorStatus) bool {
		for _, t := range s.Tasks {
			if t.State == "RUNNING" || t.State == "RESTARTING" {
				return false
			}
		}
		return true
	}
	if err := d.await(ctx, a, name, quiet); err != nil {
		if rerr := resume(); rerr != nil {
			return nil, fmt.Errorf("%w; and %w", err, rerr)
		}
		return nil, err
	}
	return resume, nil
}

// Command record writes the recordings that the conformance suite compares with: it starts a database, a Kafka and a Kafka Connect with a real Debezium, runs
// cases against them and keeps what they write.
//
//	go run ./integration/conformance/record                              all cases on both engines, in place
//	go run ./integration/conformance/record -engine mysql 'ty-json-*'    some of them
//	go run ./integration/conformance/record -debezium 3.7.0.Final -out /tmp/new
//
// With -out the cases are copied there first: go test ./integration/conformance -run Conformance -args -cases /tmp/new compares a mesh with them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/rowmesh/rowmesh/deploy/servers"
	"github.com/rowmesh/rowmesh/integration/conformance"
	"github.com/rowmesh/rowmesh/integration/rival"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "record:", err)
		os.Exit(1)
	}
}

// options are the command line's.
type options struct {
	cases, out, engine, debezium string
	globs                        []string
}

func parse(args []string) (options, error) {
	var o options
	f := flag.NewFlagSet("record", flag.ContinueOnError)
	f.StringVar(&o.cases, "cases", "integration/conformance/testdata/cases", "folder of the cases")
	f.StringVar(&o.out, "out", "", "folder that the cases are copied to, with their new recordings (default: the cases' own)")
	f.StringVar(&o.engine, "engine", "both", "mysql, mariadb or both")
	f.StringVar(&o.debezium, "debezium", "", fmt.Sprintf("version of Debezium's connectors (default: %s for mysql, %s for mariadb)", rival.MySQLVersion, rival.MariaDBVersion))
	f.Usage = func() {
		fmt.Fprint(f.Output(), "usage: record [flags] [CASE-GLOB...]\n\nRecords conformance cases from a real Kafka Connect with Debezium that it starts itself.\n\n")
		f.PrintDefaults()
	}
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if o.globs = f.Args(); len(o.globs) == 0 {
		o.globs = []string{"*"}
	}
	if o.engine != "both" && !slices.Contains(engines(), o.engine) {
		return o, fmt.Errorf("-engine %s: it is mysql, mariadb or both", o.engine)
	}
	return o, nil
}

// engines are the names of the databases in recordings.
func engines() []string { return []string{"mysql", "mariadb"} }

// wanted returns the folders of the cases that the globs name, in order.
func (o options) wanted() (dirs []string, err error) {
	for _, g := range o.globs {
		found, err := filepath.Glob(filepath.Join(o.cases, g, "case.json"))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", g, err)
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("no case in %s is named %s", o.cases, g)
		}
		for _, f := range found {
			if d := filepath.Dir(f); !slices.Contains(dirs, d) {
				dirs = append(dirs, d)
			}
		}
	}
	return dirs, nil
}

func run(ctx context.Context, args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	dirs, err := o.wanted()
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp("", "rowmesh-record")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	lab := &lab{dir: tmp, cache: &servers.Cache{Say: func(l string) { fmt.Println(l) }}}
	defer lab.stop()
	if err := lab.start(ctx, o); err != nil {
		return err
	}
	failed := 0
	for n, dir := range dirs {
		c, err := conformance.Load(dir)
		if err != nil {
			return err
		}
		into := dir
		if o.out != "" {
			if into, err = copied(dir, o.out); err != nil {
				return err
			}
		}
		for _, t := range lab.targets {
			if !c.On(t.Engine) {
				continue
			}
			begin := time.Now()
			res, err := t.Play(ctx, conformance.Run{Dir: dir, Connector: filepath.Base(dir) + "-" + t.Engine, MayFail: true})
			if err == nil {
				err = res.Write(into, t.Engine)
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				failed++
				res.End.Failed = "not recorded: " + err.Error()
			}
			fmt.Printf("%3d/%d %s %s: %d records, %.1f s %s\n", n+1, len(dirs), filepath.Base(dir), t.Engine, len(res.Records), time.Since(begin).Seconds(), how(res))
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d recordings could not be made", failed)
	}
	return nil
}

// how tells how a case ended, if not well.
func how(res conformance.Result) string {
	switch e := res.End; {
	case e.Create != nil:
		return fmt.Sprintf("refused with %d", e.Create.Code)
	case e.Failed != "":
		return fmt.Sprintf("%.200s", e.Failed)
	}
	return ""
}

// copied copies a case's own files, not its recordings, into a folder of its name in out.
func copied(dir, out string) (string, error) {
	into := filepath.Join(out, filepath.Base(dir))
	if err := os.MkdirAll(into, 0o755); err != nil {
		return "", err
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.sql"))
	if err != nil {
		return "", err
	}
	for _, f := range append(files, filepath.Join(dir, "case.json")) {
		b, err := os.ReadFile(f)
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(into, filepath.Base(f)), b, 0o644); err != nil {
			return "", err
		}
	}
	return into, nil
}

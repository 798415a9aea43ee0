// Command local runs the whole of rowmesh on one machine: a real database, a real Kafka, etcd, two coordinators, two capturers and two publishers,
// a demo database with a trickle of traffic, and the connector that carries it to Kafka; and shows what happens.
//
//	go run ./deploy/local                      everything, until Ctrl-C
//	go run ./deploy/local -mariadb             on MariaDB
//	go run ./deploy/local -duration 30s        ends by itself, with a summary
//	go run ./deploy/local -mysql db:3306 -mysql-user u -mysql-password p -kafka k:9092 -etcd e:2379
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/rowmesh/rowmesh/deploy/command"
	"github.com/rowmesh/rowmesh/deploy/roles"
)

// options are the flags.
type options struct {
	mysql, mysqlUser, mysqlPassword string
	kafka, etcd                     string
	mariadb, fresh, quiet           bool
	roles, dir                      string
	rest                            int
	duration                        time.Duration
}

func parse(args []string) (options, error) {
	var o options
	f := flag.NewFlagSet("local", flag.ContinueOnError)
	f.StringVar(&o.mysql, "mysql", "", "host:port of a database server of your own (default: one is started)")
	f.StringVar(&o.mysqlUser, "mysql-user", "root", "its user; needs rights to create the demo database and to replicate")
	f.StringVar(&o.mysqlPassword, "mysql-password", "", "its password (better: the environment variable MYSQL_PWD)")
	f.StringVar(&o.kafka, "kafka", "", "bootstrap servers of a Kafka of your own (default: a broker is started)")
	f.StringVar(&o.etcd, "etcd", "", "endpoints of an etcd of your own (default: one is embedded)")
	f.BoolVar(&o.mariadb, "mariadb", false, "run the demo on MariaDB")
	f.BoolVar(&o.fresh, "fresh", false, "forget the data of earlier runs")
	f.BoolVar(&o.quiet, "quiet", false, "print only problems and the summary")
	f.StringVar(&o.roles, "roles", "processes", "run the mesh as processes, or all in one")
	f.StringVar(&o.dir, "dir", "", "data folder (default: rowmesh/local in the user's cache folder)")
	f.IntVar(&o.rest, "rest", 8083, "port of the REST API")
	f.DurationVar(&o.duration, "duration", 0, "end after this time; 0: run until Ctrl-C")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("argument %q: only flags are understood, see -help", f.Arg(0))
	}
	if o.roles != "processes" && o.roles != "one" {
		return o, fmt.Errorf("-roles=%s: want processes or one", o.roles)
	}
	if o.mysqlPassword == "" {
		o.mysqlPassword = os.Getenv("MYSQL_PWD")
	}
	if o.dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return o, err
		}
		o.dir = filepath.Join(cache, "rowmesh", "local")
	}
	return o, nil
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == roles.Command {
		os.Exit(command.Execute(os.Args[2:]))
	}
	o, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(0)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	if err := run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "rowmesh local:", err)
		os.Exit(1)
	}
}

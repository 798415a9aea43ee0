package command

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rowmesh/rowmesh/capturer"
	"github.com/rowmesh/rowmesh/coordinator"
	"github.com/rowmesh/rowmesh/publisher"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/lease/etcdnode"
	"github.com/rowmesh/rowmesh/services/run"
)

// standaloneOptions are the flags of the commands that run the whole mesh in one process.
type standaloneOptions struct {
	kafka, dir, rest, level, etcd string
	insecure                      bool
	secretRoots, secretEnv        string

	common []string            // further arguments for every role
	roles  map[string][]string // and for one
}

func (o *standaloneOptions) flags(f *pflag.FlagSet) {
	f.StringVar(&o.dir, "data", "rowmesh-data", "folder of the embedded etcd")
	f.StringVar(&o.etcd, "etcd", "", "endpoints of an etcd that is there, instead of the embedded one: several processes on it are one mesh")
	f.StringVar(&o.level, "log-level", "info", "debug, info, warn or error")
	f.BoolVar(&o.insecure, "insecure", false, "serve REST in plain text on addresses other than loopback")
	f.StringVar(&o.secretRoots, "secret-roots", "", "folders, comma-separated, whose files ${file:...} and ${directory:...} references in configs may name")
	f.StringVar(&o.secretEnv, "secret-env", "", "regular expression of the environment variables that ${env:...} references in configs may name")
}

// standalone runs the whole mesh in one process, as Connect's standalone worker does.
func standalone(version string, logs io.Writer) *cobra.Command {
	var o standaloneOptions
	c := &cobra.Command{
		Use: "standalone --kafka BOOTSTRAP [CONNECTOR.json...]", Short: "Run everything in one process, with an embedded etcd, for the connectors in files",
		Long: "Each file holds " + fileForm + ", a flat config with its name, or properties. The connectors are created, or updated where they exist;\n" +
			"the data folder keeps their state.",
		RunE: func(c *cobra.Command, files []string) error {
			connectors, err := readFiles(files, c.InOrStdin())
			if err != nil {
				return err
			}
			return o.run(c.Context(), files, connectors, version, logs)
		},
	}
	o.flags(c.Flags())
	c.Flags().StringVar(&o.kafka, "kafka", "127.0.0.1:9092", "bootstrap servers")
	c.Flags().StringVar(&o.rest, "rest", "127.0.0.1:8083", "address of the REST API")
	return c
}

func readFiles(names []string, stdin io.Reader) ([]connectorFile, error) {
	out := make([]connectorFile, len(names))
	for i, f := range names {
		var err error
		if out[i], err = readFile(f, stdin); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// run runs the mesh for the connectors of files, which were read already.
func (o *standaloneOptions) run(ctx context.Context, files []string, connectors []connectorFile, version string, logs io.Writer) error {
	var err error
	if o.rest, err = free(o.rest); err != nil {
		return err
	}
	etcd, id := o.etcd, ""
	if etcd == "" {
		if err := os.MkdirAll(o.dir, 0o700); err != nil {
			return err
		}
		node, err := etcdnode.Start(ctx, etcdnode.Config{Dir: o.dir})
		if err != nil {
			return err
		}
		defer node.Close()
		etcd = node.Address()
	} else {
		host, _ := os.Hostname()
		id = fmt.Sprintf("-%s-%d", host, os.Getpid()) // others are on the same etcd
	}
	arguments := func(role string, more ...string) []string {
		args := append([]string{"-id", role + id, "-etcd", etcd, "-log-level", o.level}, o.common...)
		if o.secretRoots != "" {
			args = append(args, "-secret-roots", o.secretRoots)
		}
		if o.secretEnv != "" {
			args = append(args, "-secret-env", o.secretEnv)
		}
		return append(append(args, more...), o.roles[role]...)
	}
	rest := []string{"-rest", o.rest, "-kafka", o.kafka}
	if o.insecure {
		rest = append(rest, "-insecure")
	}
	return run.All(ctx,
		func(ctx context.Context) error {
			return coordinator.Main(ctx, arguments("coordinator", rest...), version, logs)
		},
		func(ctx context.Context) error { return capturer.Main(ctx, arguments("capturer"), version, logs) },
		func(ctx context.Context) error {
			return publisher.Main(ctx, arguments("publisher", "-kafka", o.kafka), version, logs)
		},
		func(ctx context.Context) error {
			for i, c := range connectors {
				if err := o.apply(ctx, c); err != nil {
					return fmt.Errorf("%s: %w", files[i], err)
				}
			}
			<-ctx.Done()
			return nil
		})
}

// free returns addr with a port, and an error at once where somebody listens there already: the connectors of the files would be created in their mesh.
func free(addr string) (string, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return "", errs.E(errs.Invalid, "REST API on %s: %w; give another address with --rest", addr, err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// apply creates or updates a connector once the REST API answers.
func (o *standaloneOptions) apply(ctx context.Context, c connectorFile) error {
	a := o.api()
	for end := time.Now().Add(30 * time.Second); ; {
		_, err := a.do(ctx, http.MethodGet, "/health", nil)
		if err == nil {
			break
		}
		if time.Now().After(end) {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(50 * time.Millisecond): // the API starts beside this
		}
	}
	_, err := a.do(ctx, http.MethodPut, connectorPath(c.Name, "config"), c.Config)
	return err
}

// api returns a client of this process's own REST API, whose certificate may name any host.
func (o *standaloneOptions) api() *api {
	host, port, _ := net.SplitHostPort(o.rest)
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	a := &api{base: "http://" + net.JoinHostPort(host, port), http: http.DefaultClient}
	if slices.Contains(o.roles["coordinator"], "-rest-tls-cert") {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.TLSClientConfig = &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12} // it is this process, on a port that it has taken
		a.base, a.http = "https://"+net.JoinHostPort(host, port), &http.Client{Transport: t}
	}
	return a
}

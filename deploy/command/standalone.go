package command

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/rowmesh/rowmesh/capturer"
	"github.com/rowmesh/rowmesh/coordinator"
	"github.com/rowmesh/rowmesh/publisher"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/lease/etcdnode"
	"github.com/rowmesh/rowmesh/services/run"
)

// standaloneOptions are the flags of standalone.
type standaloneOptions struct{ kafka, dir, rest, level string }

// standalone runs the whole mesh in one process, as Connect's standalone worker does.
func standalone(version string, logs io.Writer) *cobra.Command {
	var o standaloneOptions
	c := &cobra.Command{
		Use: "standalone --kafka BOOTSTRAP [CONNECTOR.json...]", Short: "Run everything in one process, with an embedded etcd, for the connectors in JSON files",
		Long: "Each file holds " + fileForm + ". The connectors are created, or updated where they exist; the data folder keeps their state.",
		RunE: func(c *cobra.Command, files []string) error { return o.run(c.Context(), files, version, logs) },
	}
	f := c.Flags()
	f.StringVar(&o.kafka, "kafka", "127.0.0.1:9092", "bootstrap servers")
	f.StringVar(&o.dir, "data", "rowmesh-data", "folder of the embedded etcd")
	f.StringVar(&o.rest, "rest", "127.0.0.1:8083", "address of the REST API")
	f.StringVar(&o.level, "log-level", "info", "debug, info, warn or error")
	return c
}

func (o *standaloneOptions) run(ctx context.Context, files []string, version string, logs io.Writer) error {
	connectors := make([]connectorFile, len(files))
	for i, f := range files {
		var err error
		if connectors[i], err = readFile(f, os.Stdin); err != nil {
			return err
		}
	}
	var err error
	if o.rest, err = free(o.rest); err != nil {
		return err
	}
	if err := os.MkdirAll(o.dir, 0o700); err != nil {
		return err
	}
	etcd, err := etcdnode.Start(ctx, etcdnode.Config{Dir: o.dir})
	if err != nil {
		return err
	}
	defer etcd.Close()
	common := func(role string, more ...string) []string {
		return append([]string{"-id", role, "-etcd", etcd.Address(), "-log-level", o.level}, more...)
	}
	return run.All(ctx,
		func(ctx context.Context) error {
			return coordinator.Main(ctx, common("coordinator", "-rest", o.rest, "-kafka", o.kafka), version, logs)
		},
		func(ctx context.Context) error { return capturer.Main(ctx, common("capturer"), version, logs) },
		func(ctx context.Context) error {
			return publisher.Main(ctx, common("publisher", "-kafka", o.kafka), version, logs)
		},
		func(ctx context.Context) error {
			for i, b := range connectors {
				if err := o.apply(ctx, b); err != nil {
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
		return "", errs.E(errs.Invalid, "standalone --rest %s: %w; give another address", addr, err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// apply creates or updates a connector once the REST API answers.
func (o *standaloneOptions) apply(ctx context.Context, c connectorFile) error {
	a := &api{base: "http://" + o.rest, http: http.DefaultClient}
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

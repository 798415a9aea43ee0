package command

import (
	"cmp"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
)

// workerCommand runs what the files of a worker of Kafka Connect ask for: connect-distributed.sh and connect-standalone.sh with the same files.
func workerCommand(version string, logs io.Writer) *cobra.Command {
	var o standaloneOptions
	c := &cobra.Command{
		Use: "worker WORKER.properties [CONNECTOR...]", Short: "Run everything in one process, with the files of a worker of Kafka Connect", Args: cobra.MinimumNArgs(1),
		Long: "Takes connect-distributed.properties, or connect-standalone.properties with the connectors' JSON or properties files. Keys that mean something here\n" +
			"work; the others are named in one warning. State that a worker keeps in Kafka's config and status topics is kept in etcd: embedded, or with --etcd one\n" +
			"that several workers share, which then are one mesh.",
		RunE: func(c *cobra.Command, files []string) error {
			b, err := readAll(files[0], c.InOrStdin())
			if err != nil {
				return err
			}
			w, err := readWorker(config.Properties(string(b)))
			if err != nil {
				return errs.E(errs.Invalid, "%s: %w", files[0], err)
			}
			connectors, err := readFiles(files[1:], c.InOrStdin())
			if err != nil {
				return err
			}
			if text := w.warning(); text != "" {
				fmt.Fprintf(logs, "%s: %s\n", files[0], text)
			}
			o.kafka, o.rest, o.common, o.roles = w.kafka, cmp.Or(o.rest, w.rest), w.common, w.roles
			return o.run(c.Context(), files[1:], connectors, version, logs)
		},
	}
	o.flags(c.Flags())
	c.Flags().StringVar(&o.rest, "rest", "", "address of the REST API, instead of the file's")
	return c
}

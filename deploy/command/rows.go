package command

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	controlv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/control/v1"
	statev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/state/v1"
	"github.com/rowmesh/rowmesh/services/capture"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/registry"
	"github.com/rowmesh/rowmesh/services/rpc"
)

// rowsOptions are the flags of rows.
type rowsOptions struct {
	coordinator, capturer, source, from string
	tables, databases                   []string
	security                            rpc.Security
}

// rows prints the row stream.
func rows() *cobra.Command {
	var o rowsOptions
	c := &cobra.Command{
		Use: "rows --source SOURCE", Short: "Print rows live, straight from the stream that publishers read", Args: cobra.NoArgs,
		Long: "Prints a JSON line a row: operation, table, values by column (an absent column of a partial row image is left out). A line with \"token\"\n" +
			"follows each transaction end: give it to --from to go on from there.",
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c.Context(), c.OutOrStdout(), c.ErrOrStderr()) },
	}
	f := c.Flags()
	f.StringVar(&o.coordinator, "coordinator", "", "host:port of a coordinator's gRPC server, which knows the capturer")
	f.StringVar(&o.capturer, "capturer", "", "host:port of the capturer's gRPC server, instead of --coordinator")
	f.StringVar(&o.source, "source", "", "host:port of the database as its connectors name it, or the name of a connector")
	f.StringSliceVar(&o.tables, "tables", nil, "tables as regular expressions on database.table (default: all)")
	f.StringSliceVar(&o.databases, "databases", nil, "databases as regular expressions (default: all)")
	f.StringVar(&o.from, "from", "latest", "latest, earliest, snapshot, or a token")
	f.StringVar(&o.security.CertFile, "tls-cert", "", "PEM certificate")
	f.StringVar(&o.security.KeyFile, "tls-key", "", "its key")
	f.StringVar(&o.security.CAFile, "tls-ca", "", "PEM certificates of the servers' authority")
	c.MarkFlagRequired("source")
	c.MarkFlagsOneRequired("coordinator", "capturer")
	c.MarkFlagsMutuallyExclusive("coordinator", "capturer")
	return c
}

func (o *rowsOptions) run(ctx context.Context, out, notes io.Writer) error {
	start, err := parseStart(o.from)
	if err != nil {
		return err
	}
	p := printer{out: out, notes: notes, tables: map[uint32]*table{}}
	for end := time.Now().Add(assignWait); ; {
		err := o.follow(ctx, start, &p)
		if p.opened || o.capturer != "" || !unsettled(err) || time.Now().After(end) {
			return p.ended(ctx, o.source, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(assignRetry):
		}
	}
}

const (
	// assignWait is how long a source that is just being given to a capturer, or to another one, is waited for; that takes less than a second.
	assignWait = 5 * time.Second
	// assignRetry is short against what people notice.
	assignRetry = 200 * time.Millisecond
)

// notThere is an error about what the coordinator does not know at all: waiting is of no use.
type notThere struct{ error }

// Unwrap returns the error.
func (n notThere) Unwrap() error { return n.error }

// unsettled reports whether the capturer that was asked does not have the source, or not yet.
func unsettled(err error) bool {
	if errors.As(err, new(notThere)) {
		return false
	}
	switch errs.KindOf(err) {
	case errs.NotFound, errs.NotOwner, errs.Busy:
		return true
	}
	return false
}

// follow prints the rows until the stream ends.
func (o *rowsOptions) follow(ctx context.Context, start *capturev1.Start, p *printer) error {
	addr := o.capturer
	if addr == "" {
		var err error
		if addr, err = o.address(ctx); err != nil {
			return err
		}
	}
	conn, err := rpc.Dial(addr, o.security)
	if err != nil {
		return err
	}
	defer conn.Close()
	host, _ := os.Hostname()
	s, err := capture.NewClient(conn).Subscribe(ctx, &capturev1.Open{
		Consumer: fmt.Sprintf("rows-%s-%d", host, os.Getpid()), Source: o.source, Start: start,
		Tables: &capturev1.TableFilter{IncludeTables: o.tables, IncludeDatabases: o.databases}, Snapshot: &capturev1.SnapshotOptions{Data: true},
	})
	if err != nil {
		return err
	}
	defer s.Close()
	for {
		m, err := s.Recv()
		if err != nil {
			return err
		}
		if err := p.message(m); err != nil {
			return err
		}
		if b := m.GetBatch(); b != nil {
			if err := s.Ack(b.Seq); err != nil {
				return err
			}
		}
		s.Release(m)
	}
}

// address asks a coordinator which capturer has the source.
func (o *rowsOptions) address(ctx context.Context) (string, error) {
	conn, err := rpc.Dial(o.coordinator, o.security)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	control := controlv1.NewControlServiceClient(conn)
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second) // an answer takes half a second where a publisher is slow
	defer cancel()
	m, err := control.GetMesh(ctx, &controlv1.GetMeshRequest{})
	if err != nil {
		return "", fmt.Errorf("ask the coordinator at %s: %w", o.coordinator, errs.FromStatus(err))
	}
	id := strings.ToLower(o.source)
	if _, _, err := net.SplitHostPort(o.source); err != nil {
		if id, err = o.sourceOf(ctx, control, m.Sources); err != nil {
			return "", err
		}
	}
	for _, s := range m.Sources {
		if s.Id != id {
			continue
		}
		for _, x := range m.Members {
			if x.Id == s.Owner {
				return x.GrpcAddress, nil
			}
		}
		return "", errs.E(errs.Busy, "source %s has no capturer now: start one, or try again in a few seconds", s.Id)
	}
	return "", noSource("source %s: no running or paused connector reads from it, so no capturer does; create one (snapshot.mode=no_data is enough); "+
		"the sources now: %s", id, known(m.Sources))
}

// sourceOf returns the source of the connector that the user named.
func (o *rowsOptions) sourceOf(ctx context.Context, control controlv1.ControlServiceClient, sources []*statev1.Source) (string, error) {
	for _, s := range sources {
		if s.Connector == o.source {
			return s.Id, nil
		}
	}
	r, err := control.GetConnector(ctx, &controlv1.GetConnectorRequest{Name: o.source})
	if err != nil {
		if errs.KindOf(err) == errs.NotFound {
			return "", noSource("--source %s: no connector has that name, and it is no host:port; the sources now: %s", o.source, known(sources))
		}
		return "", errs.FromStatus(err)
	}
	if r.Connector.Target == statev1.TargetState_TARGET_STATE_STOPPED {
		return "", noSource("connector %s is stopped, so nothing reads its source for it: resume it; the sources now: %s", o.source, known(sources))
	}
	config := map[string]string{}
	for _, e := range r.Connector.Config {
		config[e.Key] = e.Value
	}
	id, err := registry.SourceOf(config)
	return string(id), err
}

// noSource is the error of a source that is not there.
func noSource(format string, args ...any) error {
	return notThere{errs.E(errs.NotFound, format, args...)}
}

func known(sources []*statev1.Source) string {
	if len(sources) == 0 {
		return "none"
	}
	var ids []string
	for _, s := range sources {
		ids = append(ids, s.Id)
	}
	return strings.Join(ids, ", ")
}

func parseStart(from string) (*capturev1.Start, error) {
	switch from {
	case "latest":
		return &capturev1.Start{At: &capturev1.Start_Latest{Latest: true}}, nil
	case "earliest":
		return &capturev1.Start{At: &capturev1.Start_Earliest{Earliest: true}}, nil
	case "snapshot":
		return &capturev1.Start{At: &capturev1.Start_Snapshot{Snapshot: true}}, nil
	}
	token, err := base64.StdEncoding.DecodeString(from)
	if err != nil {
		return nil, errs.E(errs.Invalid, "--from %q: want latest, earliest, snapshot or a token as printed", from)
	}
	return &capturev1.Start{At: &capturev1.Start_Token{Token: token}}, nil
}

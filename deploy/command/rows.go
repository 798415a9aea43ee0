package command

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	controlv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/control/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	statev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/state/v1"
	"github.com/rowmesh/rowmesh/services/capture"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/registry"
	"github.com/rowmesh/rowmesh/services/row"
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
	addr := o.capturer
	if addr == "" {
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
	p := printer{out: out, notes: notes, tables: map[uint32]*table{}}
	for {
		m, err := s.Recv()
		if err != nil {
			return p.ended(ctx, o.source, err)
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
		return "", errs.E(errs.Unavailable, "source %s has no capturer now: start one, or try again in a few seconds", s.Id)
	}
	return "", errs.E(errs.NotFound, "source %s: no running or paused connector reads from it, so no capturer does; create one (snapshot.mode=no_data is enough); the sources now: %s", id, known(m.Sources))
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
			return "", errs.E(errs.NotFound, "--source %s: no connector has that name, and it is no host:port; the sources now: %s", o.source, known(sources))
		}
		return "", errs.FromStatus(err)
	}
	if r.Connector.Target == statev1.TargetState_TARGET_STATE_STOPPED {
		return "", errs.E(errs.NotFound, "connector %s is stopped, so nothing reads its source for it: resume it; the sources now: %s", o.source, known(sources))
	}
	config := map[string]string{}
	for _, e := range r.Connector.Config {
		config[e.Key] = e.Value
	}
	id, err := registry.SourceOf(config)
	return string(id), err
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

// table is a table version with what it takes to split its rows.
type table struct {
	*rowv1.Table
	layout *row.Layout
	cells  [2][]row.Cell
}

// printer prints messages of a subscription.
type printer struct {
	out    io.Writer
	notes  io.Writer // what is no row
	token  string    // printed last
	tables map[uint32]*table
	buf    []byte
}

func (p *printer) message(m *capturev1.SubscribeResponse) error {
	switch x := m.Message.(type) {
	case *capturev1.SubscribeResponse_Opened:
		fmt.Fprintf(p.notes, "reading %s (%s %s) from %s:%d %s\n", x.Opened.Source, x.Opened.Flavor, x.Opened.Version, x.Opened.GetPosition().GetFile(), x.Opened.GetPosition().GetPos(), x.Opened.GetPosition().GetGtids())
	case *capturev1.SubscribeResponse_Schema:
		n := len(x.Schema.Columns)
		p.tables[x.Schema.SchemaId] = &table{x.Schema, row.NewLayout(x.Schema.Columns), [2][]row.Cell{make([]row.Cell, n), make([]row.Cell, n)}}
	case *capturev1.SubscribeResponse_Batch:
		return p.batch(x.Batch)
	case *capturev1.SubscribeResponse_Ddl:
		fmt.Fprintf(p.out, "{\"ddl\":%s,\"database\":%s}\n", row.AppendJSONString(nil, x.Ddl.Statement), row.AppendJSONString(nil, x.Ddl.Database))
	case *capturev1.SubscribeResponse_Gap:
		return errs.E(errs.Gap, "%s", x.Gap.Reason)
	case *capturev1.SubscribeResponse_Reset_:
		return errs.E(errs.Busy, "fell behind (%s); go on with --from %s", x.Reset_.Reason, base64.StdEncoding.EncodeToString(x.Reset_.Token))
	case *capturev1.SubscribeResponse_TableError:
		fmt.Fprintf(p.notes, "table %s.%s stopped: %s\n", x.TableError.Database, x.TableError.Table, x.TableError.Reason)
	}
	return nil
}

// ended says where to go on after err ended the stream.
func (p *printer) ended(ctx context.Context, source string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if p.token == "" {
		return fmt.Errorf("rows of %s: %w", source, err)
	}
	return fmt.Errorf("rows of %s: %w; go on with --from %s", source, err, p.token)
}

func (p *printer) batch(b *rowv1.Batch) error {
	rest := b.Payload
	for i, op := range b.GroupOp {
		t := p.tables[b.GroupSchema[i]]
		if t == nil {
			return errs.E(errs.Corrupt, "rows of schema %d, which was not sent", b.GroupSchema[i])
		}
		for range b.GroupRows[i] {
			images := row.Op(op).Images()
			for k := range images {
				partial := b.GroupFlags[i]&row.PartialBefore != 0
				if row.Op(op) != row.Delete && k == images-1 {
					partial = b.GroupFlags[i]&row.PartialAfter != 0
				}
				var err error
				if rest, err = t.layout.Split(t.cells[k], rest, partial); err != nil {
					return errs.E(errs.Corrupt, "%s.%s: %w", t.Database, t.Table.Table, err)
				}
			}
			p.row(op, t, images)
		}
	}
	if b.Checkpoint.GetTransactionEnd() && !b.Snapshot {
		p.token = base64.StdEncoding.EncodeToString(b.Checkpoint.Token)
		fmt.Fprintf(p.out, "{\"token\":%q}\n", p.token)
	}
	return nil
}

func (p *printer) row(op byte, t *table, images int) {
	p.buf = append(p.buf[:0], `{"op":"`...)
	p.buf = append(p.buf, op)
	p.buf = append(p.buf, `","table":`...)
	p.buf = row.AppendJSONString(p.buf, t.Database+"."+t.Table.Table)
	names := [2]string{"row", ""}
	if images == 2 {
		names = [2]string{"before", "after"}
	}
	for k := range images {
		p.buf = append(p.buf, `,"`+names[k]+`":{`...)
		first := true
		for i, c := range t.Columns {
			if !t.cells[k][i].Present {
				continue
			}
			if !first {
				p.buf = append(p.buf, ',')
			}
			first = false
			p.buf = append(row.AppendJSONString(p.buf, c.Name), ':')
			p.buf = row.AppendJSON(p.buf, c, &t.cells[k][i])
		}
		p.buf = append(p.buf, '}')
	}
	p.buf = append(p.buf, "}\n"...)
	p.out.Write(p.buf)
}

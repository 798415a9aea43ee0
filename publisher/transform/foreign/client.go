package foreign

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	transformv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/transform/v1"
	"github.com/rowmesh/rowmesh/publisher/record"
	"github.com/rowmesh/rowmesh/services/errs"
)

// Contract is the version of rowmesh.transform.v1 that is spoken.
const Contract = 1

const (
	// maxRecordBytes bounds a single record: gRPC's libraries hold a message several times, and Kafka takes 1 MiB unless it is told otherwise.
	maxRecordBytes = 64 << 20
	// answerFactor and answerBytes bound an answer by its call: a transform may add members to each record, and a schema to a single one.
	answerFactor = 4
	answerBytes  = 1 << 20
	// firstWait is the pause before a call that found no server is made again; it doubles. It is Kafka Connect's for its retries.
	firstWait = 300 * time.Millisecond
)

// Config is one use of a transform by a lane.
type Config struct {
	// Address is host:port of the server.
	Address string
	// Connector, Task and Options are told to the server.
	Connector string
	Task      uint32
	Options   map[string]string
	// Timeout bounds one call.
	Timeout time.Duration
	// Patience is how long a server that is not there is called again before it is an error; MaxWait bounds the pauses.
	Patience, MaxWait time.Duration
	// MaxRecords and MaxBytes bound one call, unless a single record is larger.
	MaxRecords, MaxBytes int
	// RawNulls: nulls are sent as null though their schema has a default, because the converter writes them so.
	RawNulls bool
	// Dial connects.
	Dial func(address string) (*grpc.ClientConn, error)
	// Log takes the name and version of the server.
	Log *slog.Logger
}

// Outcome is what became of one record.
type Outcome struct {
	// Keep is false where the record is dropped.
	Keep bool
	// Err, of kind Invalid, says why it could not be transformed; the record is undefined then.
	Err error
}

// Client calls one server. One goroutine uses it.
type Client struct {
	cfg     Config
	conn    *grpc.ClientConn
	rpc     transformv1.TransformServiceClient
	met     bool // Describe has been answered
	schemas schemas
}

// New returns a client; it connects with the first call.
func New(cfg Config) (*Client, error) {
	conn, err := cfg.Dial(cfg.Address)
	if err != nil {
		return nil, errs.E(errs.Invalid, "transform server %s: %w", cfg.Address, err)
	}
	return &Client{cfg: cfg, conn: conn, rpc: transformv1.NewTransformServiceClient(conn)}, nil
}

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }

// Apply transforms records in place. The error is of kind Unavailable or Denied where the server cannot be used now, Unsupported or Invalid where never; nothing
// is decided then. What comes from slab lives as long as that.
func (c *Client) Apply(ctx context.Context, slab *record.Slab, rs []*record.Record) ([]Outcome, error) {
	if !c.met {
		if err := c.meet(ctx); err != nil {
			return nil, err
		}
	}
	out := make([]Outcome, 0, len(rs))
	for len(rs) > 0 {
		cl := c.newCall()
		for len(rs) > 0 && cl.fits() {
			cl.add(rs[0])
			rs = rs[1:]
		}
		if err := c.run(ctx, slab, cl); err != nil {
			return nil, err
		}
		out = append(out, cl.outcomes...)
	}
	return out, nil
}

// meet asks the server what it is.
func (c *Client) meet(ctx context.Context) error {
	var d *transformv1.DescribeResponse
	err := c.patiently(ctx, func(ctx context.Context) (err error) {
		d, err = c.rpc.Describe(ctx, &transformv1.DescribeRequest{Contract: Contract, Connector: c.cfg.Connector, Task: c.cfg.Task, Options: c.cfg.Options})
		return err
	})
	if err != nil {
		switch kind := errs.KindOf(err); kind {
		case errs.Unavailable, errs.Denied, errs.Busy, errs.Stale:
			return c.unavailable(err)
		case errs.Unsupported:
			return errs.E(errs.Unsupported, "transform server %s does not serve rowmesh.transform.v1.TransformService: is the address right?", c.cfg.Address)
		default:
			return errs.E(errs.Invalid, "transform server %s refuses its options: %s", c.cfg.Address, message(err))
		}
	}
	if d.Contract == 0 || d.Contract > Contract {
		return errs.E(errs.Unsupported, "transform server %s (%.100s %.100s) speaks version %d of rowmesh.transform.v1; version %d is spoken here", c.cfg.Address, d.Name, d.Version, d.Contract, Contract)
	}
	if n := int(d.MaxRecords); n > 0 {
		c.cfg.MaxRecords = min(c.cfg.MaxRecords, n)
	}
	if n := int(d.MaxBytes); n > 0 {
		c.cfg.MaxBytes = min(c.cfg.MaxBytes, n)
	}
	c.met = true
	c.cfg.Log.Info("transform server", "address", c.cfg.Address, "name", fmt.Sprintf("%.100s", d.Name), "version", fmt.Sprintf("%.100s", d.Version))
	return nil
}

// run makes a call, or, where it fails for its records, calls with halves of them. A call of one record that fails is that record's error.
func (c *Client) run(ctx context.Context, slab *record.Slab, cl *call) error {
	asked := cl.asked()
	if len(asked) == 0 {
		return nil
	}
	var answer *transformv1.TransformResponse
	err := c.patiently(ctx, func(ctx context.Context) (err error) {
		answer, err = c.rpc.Transform(ctx, cl.request(asked), grpc.MaxCallSendMsgSize(2*maxRecordBytes), grpc.MaxCallRecvMsgSize(answerFactor*cl.bytes+answerBytes))
		return err
	})
	if err == nil {
		err = cl.take(slab, asked, answer)
	} else if !ofRecords(err) {
		return c.unavailable(err)
	}
	if err == nil {
		return nil
	}
	if len(asked) == 1 {
		cl.outcomes[asked[0]] = Outcome{Err: errs.E(errs.Invalid, "transform server %s: %s", c.cfg.Address, message(err))}
		return nil
	}
	for _, half := range [][]int{asked[:len(asked)/2], asked[len(asked)/2:]} {
		part := cl.part(half)
		if err := c.run(ctx, slab, part); err != nil {
			return err
		}
		for i, at := range half {
			cl.outcomes[at] = part.outcomes[i]
		}
	}
	return nil
}

// patiently makes a call with its deadline, and again for a while where no server is there.
func (c *Client) patiently(ctx context.Context, f func(ctx context.Context) error) error {
	begin := time.Now()
	for wait := firstWait; ; wait = min(2*wait, max(c.cfg.MaxWait, firstWait)) {
		bounded, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
		err := f(bounded)
		cancel()
		if status.Code(err) != codes.Unavailable || time.Since(begin)+wait > c.cfg.Patience {
			return err
		}
		select {
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		case <-time.After(wait):
		}
	}
}

// ofRecords reports whether the error of a call may be that of its records.
func ofRecords(err error) bool {
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled, codes.Aborted, codes.PermissionDenied, codes.Unauthenticated, codes.Unimplemented:
		return false
	case codes.ResourceExhausted: // the server's way to say that it is busy, and everybody's to say that a message is too large
		return strings.Contains(strings.ToLower(err.Error()), "larger than max")
	}
	return true
}

func (c *Client) unavailable(err error) error {
	kind, text := errs.Unavailable, message(err)
	switch code := status.Code(err); {
	case code == codes.PermissionDenied || code == codes.Unauthenticated:
		kind = errs.Denied
	case code == codes.DeadlineExceeded || errors.Is(err, context.DeadlineExceeded):
		text = fmt.Sprintf("no answer within %s (timeout.ms): %s", c.cfg.Timeout, text)
	}
	return errs.E(kind, "transform server %s: %s; is it up, and is it fast enough for batches of %d records?", c.cfg.Address, text, c.cfg.MaxRecords)
}

// message is the text of an error without gRPC's words around it, shortened: a server may say anything.
func message(err error) string {
	text := err.Error()
	if s, ok := status.FromError(err); ok {
		text = s.Message()
	}
	return fmt.Sprintf("%.1000s", text)
}

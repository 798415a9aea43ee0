package coordinator

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"

	controlv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/control/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/registry"
)

// reportTimeout bounds one member's report. Users wait for it, and a member that is slower than this is better left out.
const reportTimeout = 500 * time.Millisecond

// Progress is how far a lane is, as its publisher says.
type Progress struct {
	registry.LaneID
	Generation uint64
	State      registry.LaneState
	// Since the lane started: rows, Kafka records and bytes delivered, and commits.
	Rows, Records, Bytes, Commits uint64
	Position                      *rowv1.Position
	Lag                           time.Duration // behind the source's clock; 0 when caught up, negative before the first change
	// Snapshot under way: the table being read, its rows done and estimated, and the tables done of all.
	SnapshotTable                      string
	SnapshotRows, SnapshotRowsEstimate uint64
	SnapshotTables, SnapshotTablesDone uint32
	// Snapshots are those that were asked for while the lane streamed.
	Snapshots []*controlv1.SnapshotStatus
}

// reports asks members how far they are, over connections that it keeps.
type reports struct {
	dial func(address string) (*grpc.ClientConn, error)
	log  *slog.Logger

	mu    sync.Mutex
	conns map[string]*grpc.ClientConn // by address
}

func newReports(dial func(string) (*grpc.ClientConn, error), log *slog.Logger) *reports {
	return &reports{dial: dial, log: log, conns: make(map[string]*grpc.ClientConn)}
}

// collect asks all publishers at once and returns what those say that answer in time, by lane.
func (r *reports) collect(ctx context.Context, members []registry.Member) []Progress {
	clients := r.clients(members, registry.Publisher)
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	answers := make(chan []Progress, len(clients))
	for address, client := range clients {
		go func() {
			resp, err := client.Report(ctx, &controlv1.ReportRequest{})
			if err != nil {
				r.log.Debug("no report", "address", address, "error", err)
			}
			answers <- progressFromProto(resp.GetLanes())
		}()
	}
	var out []Progress
	for range clients {
		out = append(out, <-answers...) // each ends with ctx at the latest
	}
	slices.SortFunc(out, func(a, b Progress) int { return strings.Compare(laneItem(a.LaneID), laneItem(b.LaneID)) })
	return out
}

// tell calls f for the members of some roles at once and returns when all have answered, or did not in time.
func (r *reports) tell(ctx context.Context, members []registry.Member, f func(context.Context, controlv1.MemberServiceClient) error, roles ...registry.Role) {
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	var all sync.WaitGroup
	for address, client := range r.clients(members, roles...) {
		all.Go(func() {
			if err := f(ctx, client); err != nil {
				r.log.Warn("member did not take what it was told", "address", address, "error", err)
			}
		})
	}
	all.Wait()
}

// clients returns a client per member of some roles, by address, and closes the connections of members that are gone.
func (r *reports) clients(members []registry.Member, roles ...registry.Role) map[string]controlv1.MemberServiceClient {
	out, there := make(map[string]controlv1.MemberServiceClient), make(map[string]bool)
	if r.dial == nil {
		return out
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range members {
		there[m.GRPCAddress] = true
		if !slices.Contains(roles, m.Role) {
			continue
		}
		conn := r.conns[m.GRPCAddress]
		if conn == nil {
			var err error
			if conn, err = r.dial(m.GRPCAddress); err != nil { // dialing does not connect yet, so the lock is not held for long
				r.log.Warn("member cannot be asked for its report", "member", m.ID, "address", m.GRPCAddress, "error", err)
				continue
			}
			r.conns[m.GRPCAddress] = conn
		}
		out[m.GRPCAddress] = controlv1.NewMemberServiceClient(conn)
	}
	for address, conn := range r.conns {
		if !there[address] {
			conn.Close()
			delete(r.conns, address)
		}
	}
	return out
}

func (r *reports) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for address, conn := range r.conns {
		conn.Close()
		delete(r.conns, address)
	}
}

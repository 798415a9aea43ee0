package registry

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/lease"
)

const (
	// DefaultPrefix is where a mesh keeps its keys.
	DefaultPrefix = "/rowmesh"
	// defaultTimeout bounds one call: longer than an election of etcd (about 1 s) and a restart on a busy machine.
	defaultTimeout = 5 * time.Second
)

// Options of a Store.
type Options struct {
	// Prefix of all keys; empty: DefaultPrefix. Two meshes on one etcd differ in it.
	Prefix string
	// Key seals the configs of connectors with AES-256-GCM: 32 bytes, the same on all members. Empty: configs are stored in clear.
	Key []byte
	// Timeout bounds each call; 0: 5 s.
	Timeout time.Duration
	// MemberTTL is the lease of members; 0: lease.DefaultTTL. Work moves away from a dead member after this time.
	MemberTTL time.Duration
	// Log gets a line when etcd goes away and comes back; nil: slog.Default().
	Log *slog.Logger
}

// Store reads and writes the registry. It is safe for use by many goroutines.
type Store struct {
	client    *clientv3.Client
	prefix    string
	seal      *sealer // nil: configs in clear
	timeout   time.Duration
	memberTTL time.Duration
	log       *slog.Logger
}

// New returns a Store on client, which stays the caller's to close. It fails if the key has another length than 32 bytes.
func New(client *clientv3.Client, o Options) (*Store, error) {
	s := &Store{client: client, prefix: strings.TrimSuffix(o.Prefix, "/"), timeout: o.Timeout, memberTTL: o.MemberTTL, log: o.Log}
	if s.prefix == "" {
		s.prefix = DefaultPrefix
	}
	if s.timeout == 0 {
		s.timeout = defaultTimeout
	}
	if s.memberTTL == 0 {
		s.memberTTL = lease.DefaultTTL
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	if len(o.Key) > 0 {
		var err error
		if s.seal, err = newSealer(o.Key); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Client returns the store's etcd client.
func (s *Store) Client() *clientv3.Client { return s.client }

// Kinds of records, as they stand in keys. All but kindTable lie side by side, so that one watch of a coordinator covers them: see Store.watched.
const (
	kindConnector = "connectors"
	kindLane      = "lanes"
	kindLayout    = "layouts"
	kindLeader    = "leader"
	kindMember    = "members"
	kindSource    = "sources"
	kindStatus    = "status"
	kindTable     = "tables"
)

// span is a half-open range of keys.
type span struct{ from, to string }

func (s *Store) key(kind string, parts ...string) string {
	var b strings.Builder
	b.WriteString(s.prefix)
	b.WriteByte('/')
	b.WriteString(kind)
	for _, p := range parts {
		b.WriteByte('/')
		b.WriteString(url.PathEscape(p))
	}
	return b.String()
}

// under is all keys below key(kind, parts...).
func (s *Store) under(kind string, parts ...string) span {
	from := s.key(kind, parts...) + "/"
	return span{from, clientv3.GetPrefixRangeEnd(from)}
}

// watched is what coordinators look at: everything but tables, which can be large.
func (s *Store) watched() span { return span{s.key(kindConnector) + "/", s.key(kindTable)} }

func (s *Store) connectorKey(name string) string { return s.key(kindConnector, name) }
func (s *Store) layoutKey(name string) string    { return s.key(kindLayout, name) }
func (s *Store) sourceKey(id SourceID) string    { return s.key(kindSource, string(id)) }
func (s *Store) memberKey(r Role, id MemberID) string {
	return s.key(kindMember, string(r), string(id))
}
func (s *Store) laneKey(id LaneID) string {
	return s.key(kindLane, id.Connector, strconv.FormatUint(uint64(id.Task), 10))
}
func (s *Store) statusKey(id LaneID) string {
	return s.key(kindStatus, id.Connector, strconv.FormatUint(uint64(id.Task), 10))
}

// split returns the kind and the parts of a key of this store.
func (s *Store) split(key string) (kind string, parts []string, err error) {
	rest, ok := strings.CutPrefix(key, s.prefix+"/")
	if !ok {
		return "", nil, fmt.Errorf("key %q is not under %s", key, s.prefix)
	}
	parts = strings.Split(rest, "/")
	for i := range parts {
		if parts[i], err = url.PathUnescape(parts[i]); err != nil {
			return "", nil, fmt.Errorf("key %q: %w", key, err)
		}
	}
	return parts[0], parts[1:], nil
}

// laneID reads the parts of the key of a lane or a status.
func laneID(key string, parts []string) (LaneID, error) {
	if len(parts) != 2 {
		return LaneID{}, errs.E(errs.Corrupt, "key %q names no lane; delete it", key)
	}
	task, err := strconv.ParseUint(parts[1], 10, 32)
	if err != nil {
		return LaneID{}, errs.E(errs.Corrupt, "key %q names no lane: %w; delete it", key, err)
	}
	return LaneID{Connector: parts[0], Task: uint32(task)}, nil
}

// call bounds one call to etcd.
func (s *Store) call(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.timeout)
}

// Election is the election of the mesh's leader among coordinators.
func (s *Store) Election(id MemberID) lease.Election {
	return lease.Election{Prefix: s.key(kindLeader), Value: string(id)}
}

// Leader returns the leader's member id; empty if there is none.
func (s *Store) Leader(ctx context.Context) (MemberID, error) {
	ctx, cancel := s.call(ctx)
	defer cancel()
	v, err := lease.Leader(ctx, s.client, s.key(kindLeader))
	return MemberID(v), classify(err)
}

// Ping asks etcd for a linearizable answer: nil means that it can serve reads and writes.
func (s *Store) Ping(ctx context.Context) error {
	ctx, cancel := s.call(ctx)
	defer cancel()
	_, err := s.client.Get(ctx, s.prefix+"/ping")
	return classify(err)
}

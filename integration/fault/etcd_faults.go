package fault

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/rowmesh/rowmesh/services/registry"
)

// etcdFaults are group E.
func etcdFaults() []Fault {
	return []Fault{
		{ID: "E1", Name: "etcd's leader killed", Do: (*Stage).etcdLeaderKilled},
		{ID: "E1", Name: "a follower of etcd killed", Do: (*Stage).etcdFollowerKilled},
		{ID: "E2", Name: "etcd without a quorum", Do: (*Stage).noQuorum},
		{ID: "E2", Name: "etcd's members cut off from each other", Long: true, Do: (*Stage).etcdParted},
		{ID: "E3", Name: "etcd's leader stopped past an election", Do: (*Stage).etcdLeaderStopped},
		{ID: "E4", Name: "a publisher's lease revoked", Do: (*Stage).leaseRevoked},
		{ID: "E5", Name: "a candidate is stopped past its lease while the leader's key is deleted", Do: (*Stage).phantom},
		{ID: "E6", Name: "etcd compacted past the watches of members", Do: (*Stage).compacted},
		{ID: "E7", Name: "slow etcd", Do: (*Stage).etcdSlow},
		{ID: "E8", Name: "etcd has no space", Alone: true, Do: (*Stage).noSpace},
		{ID: "E9", Name: "etcd goes back to an old state", Alone: true, Long: true, Do: (*Stage).restored},
		{ID: "E9", Name: "etcd lost altogether", Alone: true, OneLane: true, Long: true, Do: (*Stage).etcdLost},
		{ID: "E10", Name: "garbage in the keys of lanes, sources and members", Do: (*Stage).garbage},
	}
}

// prefix is that of the mesh's keys.
const prefix = registry.DefaultPrefix

// leaderID returns the id of the coordinator that leads, as etcd has it.
func (c *Cluster) leaderID(ctx context.Context) (id string, err error) {
	err = c.withEtcd(ctx, func(ctx context.Context, cl *clientv3.Client) error {
		r, err := cl.Get(ctx, prefix+"/leader/", clientv3.WithFirstCreate()...)
		if err != nil {
			return err
		}
		if len(r.Kvs) == 0 {
			return errors.New("nobody leads")
		}
		id = string(r.Kvs[0].Value)
		return nil
	})
	return id, err
}

func (s *Stage) etcdLeaderKilled(ctx context.Context) error {
	name, err := s.EtcdLeader(ctx)
	if err != nil {
		return err
	}
	if err := s.Kill(name); err != nil {
		return err
	}
	if err := s.flows(ctx, flowLimit); err != nil {
		return err
	}
	next, err := s.EtcdLeader(ctx)
	if err == nil && next == name {
		err = fmt.Errorf("%s still leads", name)
	}
	return err
}

func (s *Stage) etcdFollowerKilled(ctx context.Context) error {
	leader, err := s.EtcdLeader(ctx)
	if err != nil {
		return err
	}
	for _, name := range s.etcdNames() {
		if name != leader {
			if err := s.Kill(name); err != nil {
				return err
			}
			break
		}
	}
	return s.flows(ctx, flowLimit)
}

func (s *Stage) noQuorum(ctx context.Context) error {
	for _, name := range s.etcdNames()[:2] {
		if err := s.Kill(name); err != nil {
			return err
		}
	}
	if err := s.pause(ctx, beyondLease, 3*time.Minute); err != nil {
		return err
	}
	return s.flows(ctx, flowLimit) // all leases would have ended, and no data may wait for that
}

func (s *Stage) etcdParted(ctx context.Context) error {
	a := s.Net.Apply(Rule{From: "etcd-*", To: "etcd-*-peer", Hold: Both})
	defer a.Heal()
	if err := s.pause(ctx, 4*time.Second, time.Minute); err != nil {
		return err
	}
	if a.Hits() == 0 {
		return errors.New("members did not talk to each other")
	}
	return s.flows(ctx, flowLimit)
}

func (s *Stage) etcdLeaderStopped(ctx context.Context) error {
	name, err := s.EtcdLeader(ctx)
	if err != nil {
		return err
	}
	if err := s.stopped(ctx, 4*time.Second, 20*time.Second, name); err != nil {
		return err
	}
	return s.flows(ctx, flowLimit)
}

func (s *Stage) leaseRevoked(ctx context.Context) error {
	name, err := s.worker(ctx)
	if err != nil {
		return err
	}
	id, err := s.leaseOf(ctx, name)
	if err != nil {
		return err
	}
	return s.withEtcd(ctx, func(ctx context.Context, cl *clientv3.Client) error {
		_, err = cl.Revoke(ctx, id)
		return err
	})
}

// leaseOf returns a publisher's lease.
func (s *Stage) leaseOf(ctx context.Context, name string) (id clientv3.LeaseID, err error) {
	err = s.withEtcd(ctx, func(ctx context.Context, cl *clientv3.Client) error {
		r, err := cl.Get(ctx, prefix+"/members/publisher/"+name)
		if err != nil {
			return err
		}
		if len(r.Kvs) != 1 || r.Kvs[0].Lease == 0 {
			return fmt.Errorf("%s has no lease: %v", name, r.Kvs)
		}
		id = clientv3.LeaseID(r.Kvs[0].Lease)
		return nil
	})
	return id, err
}

// phantom stops the coordinator that waits to lead past its lease, and deletes the leader's key meanwhile: who wakes up may not take itself for the leader.
func (s *Stage) phantom(ctx context.Context) error {
	leader, err := s.leader(ctx)
	if err != nil {
		return err
	}
	for _, name := range s.Names("coordinator") {
		if name != leader {
			if err := s.Signal(name, syscall.SIGSTOP); err != nil {
				return err
			}
			defer s.Process(name).Signal(syscall.SIGCONT)
		}
	}
	if err := s.pause(ctx, 4*time.Second, 10*time.Second); err != nil { // a candidate's lease has 3 s
		return err
	}
	err = s.withEtcd(ctx, func(ctx context.Context, cl *clientv3.Client) error {
		r, err := cl.Delete(ctx, prefix+"/leader/", clientv3.WithPrefix())
		if err == nil && r.Deleted == 0 {
			err = errors.New("there was no leader's key")
		}
		return err
	})
	if err != nil {
		return err
	}
	return s.flows(ctx, flowLimit)
}

// compacted holds the members' watches up, compacts what they have not seen, and lets them go on.
func (s *Stage) compacted(ctx context.Context) error {
	cut := s.Net.Apply(Rule{From: "publisher-*", To: "etcd-?", Refuse: true, Reset: true})
	defer cut.Heal()
	err := s.withEtcd(ctx, func(ctx context.Context, cl *clientv3.Client) error {
		var last int64
		for i := range 20 {
			r, err := cl.Put(ctx, fmt.Sprintf("/probe/%d", i), "x")
			if err != nil {
				return err
			}
			last = r.Header.Revision
		}
		_, err := cl.Compact(ctx, last)
		return err
	})
	if err != nil {
		return err
	}
	return s.flows(ctx, flowLimit)
}

// etcdSlow lets all members run a third of the time.
func (s *Stage) etcdSlow(ctx context.Context) error {
	end := time.Now().Add(2 * time.Second)
	if s.Long {
		end = time.Now().Add(time.Minute)
	}
	for time.Now().Before(end) {
		if err := s.stopped(ctx, 200*time.Millisecond, 200*time.Millisecond, s.etcdNames()...); err != nil {
			return err
		}
		if err := s.pause(ctx, 100*time.Millisecond, 100*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// noSpace fills etcd up to its quota, and makes space again. Requires: Options.EtcdQuota is small.
func (s *Stage) noSpace(ctx context.Context) error {
	if s.EtcdQuota == 0 || s.EtcdQuota > 64<<20 {
		return fmt.Errorf("etcd's quota is %d: it takes too long to fill", s.EtcdQuota)
	}
	junk := strings.Repeat("x", 1<<20)
	err := s.withEtcd(ctx, func(ctx context.Context, cl *clientv3.Client) error {
		for i := range 100 {
			_, err := cl.Put(ctx, fmt.Sprintf("/junk/%d", i), junk)
			if err != nil && strings.Contains(err.Error(), "database space exceeded") {
				return nil
			}
			if err != nil {
				return err
			}
		}
		return errors.New("100 MiB fit in")
	})
	if err != nil {
		return err
	}
	if err := s.flows(ctx, flowLimit); err != nil {
		return err
	}
	if err := s.pause(ctx, time.Second, time.Minute); err != nil {
		return err
	}
	return s.space(ctx)
}

// space makes space in etcd, as its documentation says.
func (s *Stage) space(ctx context.Context) error {
	err := s.withEtcd(ctx, func(ctx context.Context, cl *clientv3.Client) error {
		r, err := cl.Delete(ctx, "/junk/", clientv3.WithPrefix())
		if err != nil {
			return err
		}
		_, err = cl.Compact(ctx, r.Header.Revision)
		return err
	})
	if err != nil {
		return err
	}
	for _, m := range s.etcd {
		err := s.withEtcd(ctx, func(ctx context.Context, cl *clientv3.Client) error {
			_, err := cl.Defragment(ctx, m.config.Address)
			return err
		}, m.name)
		if err != nil {
			return fmt.Errorf("defragment %s: %w", m.name, err)
		}
	}
	return s.withEtcd(ctx, func(ctx context.Context, cl *clientv3.Client) error {
		r, err := cl.AlarmList(ctx)
		if err != nil {
			return err
		}
		if len(r.Alarms) == 0 {
			return errors.New("etcd had no alarm: it was not full")
		}
		for _, a := range r.Alarms {
			if a.Alarm != etcdserverpb.AlarmType_NOSPACE {
				continue
			}
			if _, err := cl.AlarmDisarm(ctx, (*clientv3.AlarmMember)(a)); err != nil {
				return err
			}
		}
		return nil
	})
}

// stopEtcd ends all members.
func (s *Stage) stopEtcd() error {
	for _, name := range s.etcdNames() {
		if err := s.Kill(name); err != nil {
			return err
		}
	}
	return nil
}

func (s *Stage) startEtcd(ctx context.Context) error {
	for _, name := range s.etcdNames() {
		if err := s.Spawn(ctx, name); err != nil {
			return err
		}
	}
	return s.awaitEtcd(ctx)
}

// restored brings etcd's data back to a copy that is older than what a lane's generations have reached meanwhile.
func (s *Stage) restored(ctx context.Context) error {
	backup := filepath.Join(s.Dir, "etcd-backup")
	if err := s.stopEtcd(); err != nil {
		return err
	}
	if err := s.copyEtcd(backup, false); err != nil {
		return err
	}
	if err := s.startEtcd(ctx); err != nil {
		return err
	}
	for range 2 { // generations that the backup does not know
		name, err := s.worker(ctx)
		if err != nil {
			return err
		}
		if err := s.Stop(name); err != nil {
			return err
		}
		if err := s.Load.Recovered(ctx, time.Now(), settleLimit); err != nil {
			return err
		}
		if err := s.Spawn(ctx, name); err != nil {
			return err
		}
	}
	if err := s.stopEtcd(); err != nil {
		return err
	}
	if err := s.copyEtcd(backup, true); err != nil {
		return err
	}
	return s.startEtcd(ctx)
}

// etcdLost starts etcd empty. Connectors are gone then, and are made again as they were: their lanes go on where their checkpoints in Kafka are.
func (s *Stage) etcdLost(ctx context.Context) error {
	if err := s.stopEtcd(); err != nil {
		return err
	}
	if err := s.flows(ctx, flowLimit); err != nil {
		return err
	}
	for _, m := range s.etcd {
		if err := os.RemoveAll(m.config.Dir); err != nil {
			return err
		}
	}
	if err := s.startEtcd(ctx); err != nil {
		return err
	}
	return s.Create(ctx, s.Load.Name, s.Load.config, s.Load.Tasks)
}

// garbage writes what is no record of the mesh's beside those that are.
func (s *Stage) garbage(ctx context.Context) error {
	keys := []string{"/lanes/nobody/0", "/lanes/nobody/x", "/sources/nowhere:1", "/members/publisher/ghost", "/connectors/nobody", "/status/nobody/0", "/layouts/nobody"}
	err := s.withEtcd(ctx, func(ctx context.Context, cl *clientv3.Client) error {
		for _, k := range keys {
			if _, err := cl.Put(ctx, prefix+k, "\xff\x00garbage"); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := s.flows(ctx, flowLimit); err != nil {
		return err
	}
	if err := s.Kill(s.Names("publisher")[0]); err != nil { // lanes can be given away all the same
		return err
	}
	if err := s.Load.Recovered(ctx, time.Now(), settleLimit); err != nil {
		return err
	}
	return s.withEtcd(ctx, func(ctx context.Context, cl *clientv3.Client) error {
		for _, k := range keys {
			if _, err := cl.Delete(ctx, prefix+k); err != nil {
				return err
			}
		}
		return nil
	})
}

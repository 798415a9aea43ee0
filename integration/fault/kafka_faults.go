package fault

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sys/unix"
)

// kafkaFaults are group K, as far as a running load lives through them.
func kafkaFaults() []Fault {
	return []Fault{
		{ID: "K1", Name: "a broker killed", Do: (*Stage).brokerKilled},
		{ID: "K2", Name: "all brokers stopped", Long: true, Do: (*Stage).brokersStopped},
		{ID: "K3", Name: "transaction coordinators move", Long: true, Do: (*Stage).leadersMove},
		{ID: "K4", Name: "brokers stopped in the middle of commits", Do: (*Stage).stoppedInCommit},
		{ID: "K6", Name: "brokers restarted one by one", Long: true, Do: (*Stage).rollingBrokers},
		{ID: "K7", Name: "too few replicas for a topic", Long: true, Do: (*Stage).tooFewReplicas},
		{ID: "K17", Name: "somebody else's open transaction among the checkpoints", Do: (*Stage).foreignTransaction},
		{ID: "K18", Name: "the broker slows publishers down by quota", Do: (*Stage).quota},
		{ID: "K20", Name: "no space on a broker's disk", Long: true, Do: (*Stage).diskFull},
		{ID: "K1", Name: "all brokers killed", Long: true, Do: (*Stage).brokersKilled},
	}
}

// other returns a broker that is not the controller, if there is one.
func (s *Stage) other() string { return fmt.Sprintf("kafka-%d", s.Brokers) }

func (s *Stage) brokerKilled(ctx context.Context) error {
	name := s.other()
	if err := s.Kill(name); err != nil {
		return err
	}
	if s.Brokers > 1 { // the others take over
		if err := s.Load.Recovered(ctx, time.Now(), settleLimit); err != nil {
			return err
		}
	}
	if err := s.Spawn(ctx, name); err != nil {
		return err
	}
	return s.awaitBrokers(ctx)
}

func (s *Stage) brokersKilled(ctx context.Context) error {
	for _, name := range s.brokerNames() {
		if err := s.Kill(name); err != nil {
			return err
		}
	}
	if err := s.pause(ctx, 2*time.Second, 5*time.Minute); err != nil {
		return err
	}
	for _, name := range s.brokerNames() {
		if err := s.Spawn(ctx, name); err != nil {
			return err
		}
	}
	return s.awaitBrokers(ctx)
}

func (s *Stage) brokersStopped(ctx context.Context) error {
	if err := s.stopped(ctx, 5*time.Second, 45*time.Second, s.brokerNames()...); err != nil {
		return err
	}
	return s.awaitBrokers(ctx)
}

// leadersMove hands the leadership of all partitions, those of transactions among them, from one broker to another.
func (s *Stage) leadersMove(ctx context.Context) error {
	if s.Brokers < 2 {
		return errors.New("it takes two brokers")
	}
	name := s.other()
	if err := s.Stop(name); err != nil { // a controlled shutdown moves leaders first
		return err
	}
	if err := s.Load.Recovered(ctx, time.Now(), settleLimit); err != nil {
		return err
	}
	if err := s.Spawn(ctx, name); err != nil {
		return err
	}
	if err := s.awaitBrokers(ctx); err != nil {
		return err
	}
	return s.Admin(ctx, func(ctx context.Context, adm *kadm.Client) error { // and back
		_, err := adm.ElectLeaders(ctx, kadm.ElectPreferredReplica, nil)
		return err
	})
}

// stoppedInCommit holds EndTxn back until the brokers are stopped, so that commits meet them.
func (s *Stage) stoppedInCommit(ctx context.Context) error {
	slow := Rule{From: "publisher-*", To: "kafka-*", Kafka: &Requests{Keys: []int16{EndTxn}, Treat: Slow, Delay: 200 * time.Millisecond}}
	a := s.Net.Apply(slow)
	defer a.Heal()
	if err := Until(ctx, 20*time.Second, "a commit", func() error {
		if a.Hits() == 0 {
			return errors.New("none")
		}
		return nil
	}); err != nil {
		return err
	}
	if err := s.stopped(ctx, 5*time.Second, 30*time.Second, s.brokerNames()...); err != nil {
		return err
	}
	return s.awaitBrokers(ctx)
}

func (s *Stage) rollingBrokers(ctx context.Context) error {
	for _, name := range s.brokerNames() {
		if err := s.Stop(name); err != nil {
			return err
		}
		if err := s.Spawn(ctx, name); err != nil {
			return err
		}
		if err := s.awaitBrokers(ctx); err != nil {
			return err
		}
	}
	return nil
}

// tooFewReplicas asks for more replicas in sync than there are: nothing may be acknowledged.
func (s *Stage) tooFewReplicas(ctx context.Context) error {
	topic := s.Load.Name + "." + s.Load.W.Database + ".r0"
	if err := s.SetTopic(ctx, topic, fmt.Sprintf("min.insync.replicas=%d", s.Brokers)); err != nil {
		return err
	}
	var err error
	if s.Brokers > 1 {
		if err = s.Kill(s.other()); err == nil {
			err = s.pause(ctx, 6*time.Second, 30*time.Second)
		}
		if err == nil {
			err = s.Spawn(ctx, s.other())
		}
		if err == nil {
			err = s.awaitBrokers(ctx)
		}
	} else {
		err = errors.New("it takes two brokers")
	}
	return errors.Join(err, s.SetTopic(ctx, topic, "min.insync.replicas"))
}

// foreignTransaction leaves a transaction open in every partition of the checkpoints, and lets lanes start behind it: they must read to the real end.
func (s *Stage) foreignTransaction(ctx context.Context) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.Kafkas()...), kgo.TransactionalID(fmt.Sprintf("foreign-%d", s.Rnd.Int64())), kgo.TransactionTimeout(30*time.Second),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return err
	}
	defer cl.Close()
	if err := cl.BeginTransaction(); err != nil {
		return err
	}
	for p := range int32(3) {
		r := &kgo.Record{Topic: s.offsets, Partition: p, Key: []byte("foreign"), Value: []byte("{}")}
		if err := cl.ProduceSync(ctx, r).FirstErr(); err != nil {
			return err
		}
	}
	name, err := s.worker(ctx)
	if err != nil {
		return err
	}
	if err := s.Bounce(ctx, name); err != nil {
		return err
	}
	if err := s.pause(ctx, 3*time.Second, 15*time.Second); err != nil {
		return err
	}
	return cl.EndTransaction(ctx, kgo.TryAbort)
}

func (s *Stage) quota(ctx context.Context) error {
	set := func(remove bool) error {
		return s.Admin(ctx, func(ctx context.Context, adm *kadm.Client) error {
			_, err := adm.AlterClientQuotas(ctx, []kadm.AlterClientQuotaEntry{{Entity: kadm.ClientQuotaEntity{{Type: "client-id"}},
				Ops: []kadm.AlterClientQuotaOp{{Key: "producer_byte_rate", Value: 20_000, Remove: remove}}}})
			return err
		})
	}
	if err := set(false); err != nil {
		return err
	}
	err := s.pause(ctx, 4*time.Second, time.Minute)
	return errors.Join(err, set(true))
}

// diskFull lets no file of a broker grow: it must end, as it cannot know what is on its disk any more, and the lanes wait for it or go to another.
func (s *Stage) diskFull(ctx context.Context) error {
	name := s.other()
	pid := s.Process(name).PID()
	if _, err := limit(pid, unix.RLIMIT_FSIZE, 4096); err != nil {
		return fmt.Errorf("limit the files of %s: %w", name, err)
	}
	if err := s.ended(ctx, name); err != nil {
		return err
	}
	if s.Brokers > 1 {
		if err := s.Load.Recovered(ctx, time.Now(), settleLimit); err != nil {
			return err
		}
	}
	if err := s.Spawn(ctx, name); err != nil {
		return err
	}
	return s.awaitBrokers(ctx)
}

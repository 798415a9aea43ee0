package fault

import (
	"bytes"
	"context"
	"fmt"
	"time"
)

// members are all processes of the mesh; the consumer and the workload, which are nobody's faults, are not among them.
const members = "*r-*" // coordinator-1, capturer-1, publisher-1

// networkFaults are group N.
func networkFaults() []Fault {
	wire := func(id, name string, long bool, short, longer time.Duration, r Rule) Fault {
		return Fault{ID: id, Name: name, Long: long, Do: func(s *Stage, ctx context.Context) error { return s.apply(ctx, r, short, longer) }}
	}
	// from a publisher of the load
	mine := func(id, name string, long bool, short, longer time.Duration, r Rule) Fault {
		return Fault{ID: id, Name: name, Long: long, Do: func(s *Stage, ctx context.Context) error {
			who, err := s.worker(ctx)
			if err != nil {
				return err
			}
			r.From = who
			return s.apply(ctx, r, short, longer)
		}}
	}
	out := []Fault{
		wire("N1", "publishers and capturers half open", true, 17*time.Second, time.Minute, Rule{From: "publisher-*", To: "capturer-*", Hold: Both}),
		wire("N2", "nothing from publishers reaches capturers", false, 3*time.Second, 30*time.Second, Rule{From: "publisher-*", To: "capturer-*", Hold: Up}),
		wire("N2", "nothing from capturers reaches publishers", false, 3*time.Second, 30*time.Second, Rule{From: "publisher-*", To: "capturer-*", Hold: Down}),
		mine("N3", "a publisher is cut off from Kafka", true, 3*time.Second, 30*time.Second, Rule{To: "kafka-*", Refuse: true, Reset: true}),
		wire("N3", "all publishers are cut off from Kafka", false, 3*time.Second, 5*time.Minute, Rule{From: "publisher-*", To: "kafka-*", Refuse: true, Reset: true}),
		{ID: "N7", Name: "a publisher is cut off from etcd past its lease", Do: (*Stage).withoutEtcd},
		mine("N8", "a publisher reaches etcd but not Kafka, past its lease", true, beyondLease, 30*time.Second, Rule{To: "kafka-*", Hold: Both}),
		wire("N9", "one piece in twenty is lost and sent again", false, 3*time.Second, time.Minute, Rule{From: members, Loss: 0.05}),
		wire("N10", "200 ms more or less 100 on every wire", false, 3*time.Second, time.Minute, Rule{From: members, Delay: 200 * time.Millisecond, Jitter: 100 * time.Millisecond}),
		wire("N11", "32 KiB a second to Kafka", false, 3*time.Second, time.Minute, Rule{From: "publisher-*", To: "kafka-*", Rate: 32 << 10}),
		{ID: "N12", Name: "every connection dies within a second and a half", Do: (*Stage).churn},
		{ID: "N13", Name: "all connections of a publisher are reset again and again", Do: resets((*Stage).worker)},
		{ID: "N13", Name: "all connections of a capturer are reset again and again", Do: resets((*Stage).capturer)},
		{ID: "N15", Name: "a byte of the log is flipped on its way", Do: (*Stage).flipped},
		wire("N1", "capturers and the database half open", true, 13*time.Second, time.Minute, Rule{From: "capturer-*", To: "*", Hold: Down}),
		wire("M26", "the log falls silent on a connection that stays open", true, 13*time.Second, time.Minute, Rule{From: "capturer-*", To: Source, Hold: Down}),
	}
	return append(out, requestFaults()...)
}

// requestFaults are what is done to requests to Kafka: N4, N5 and N6.
func requestFaults() []Fault {
	one := func(id, name string, treat Treatment, delay time.Duration, times int64, keys ...int16) Fault {
		return Fault{ID: id, Name: name, Do: func(s *Stage, ctx context.Context) error {
			who, err := s.worker(ctx)
			if err != nil {
				return err
			}
			r := Rule{From: who, To: "kafka-*", Times: times, Kafka: &Requests{Keys: keys, Treat: treat, Delay: delay}}
			if err := s.applyUntil(ctx, r, times, 30*time.Second); err != nil {
				return err
			}
			return s.pause(ctx, delay+500*time.Millisecond, delay+500*time.Millisecond)
		}}
	}
	start := func(id, name string, treat Treatment, keys ...int16) Fault { // requests of a lane's start only
		return Fault{ID: id, Name: name, Do: func(s *Stage, ctx context.Context) error {
			a := s.Net.Apply(Rule{From: "publisher-*", To: "kafka-*", Times: 2, Kafka: &Requests{Keys: keys, Treat: treat}})
			defer a.Heal()
			if err := s.RestartTasks(ctx, s.Load.Name); err != nil {
				return err
			}
			return Until(ctx, 30*time.Second, "requests of a start", func() error {
				if a.Hits() < 2 {
					return fmt.Errorf("%d requests met the rule", a.Hits())
				}
				return nil
			})
		}}
	}
	return []Fault{
		one("N4", "EndTxn is lost with its connection", LoseRequest, 0, 2, EndTxn),
		one("N4", "EndTxn is done, and nobody hears of it", LoseResponse, 0, 2, EndTxn),
		one("N4", "EndTxn comes seconds late", Late, 2*time.Second, 2, EndTxn),
		one("N4", "EndTxn comes half a second late", Late, 500*time.Millisecond, 3, EndTxn),
		one("N4", "EndTxn comes twice", Twice, 0, 3, EndTxn),
		one("N5", "Produce comes late", Late, time.Second, 2, Produce),
		one("N5", "Produce is held up", Slow, 300*time.Millisecond, 4, Produce),
		one("N5", "Produce comes twice", Twice, 0, 3, Produce),
		one("N6", "Produce is done, and nobody hears of it", LoseResponse, 0, 3, Produce),
		one("N6", "AddPartitionsToTxn is done, and nobody hears of it", LoseResponse, 0, 2, AddPartitionsToTxn),
		one("N6", "AddPartitionsToTxn comes twice", Twice, 0, 2, AddPartitionsToTxn),
		start("N6", "InitProducerId is done, and nobody hears of it", LoseResponse, InitProducerID),
		start("N6", "InitProducerId comes late", Late, InitProducerID),
		start("N6", "checkpoints cannot be fetched at first", LoseResponse, Fetch),
	}
}

// withoutEtcd: the publisher's lane is given away, or not: whoever has it, data go on.
func (s *Stage) withoutEtcd(ctx context.Context) error {
	who, err := s.worker(ctx)
	if err != nil {
		return err
	}
	a := s.Net.Apply(Rule{From: who, To: "etcd-*", Refuse: true, Reset: true})
	defer a.Heal()
	if err := s.pause(ctx, beyondLease, 30*time.Second); err != nil {
		return err
	}
	if a.Hits() == 0 {
		return fmt.Errorf("%s has not missed etcd", who)
	}
	return s.flows(ctx, flowLimit)
}

func (s *Stage) churn(ctx context.Context) error {
	reset := s.Net.Apply(Rule{From: members, Reset: true}) // what is open is older than the rule
	reset.Heal()
	return s.apply(ctx, Rule{From: members, Life: 1500 * time.Millisecond}, 5*time.Second, time.Minute)
}

func resets(who pick) func(*Stage, context.Context) error {
	return func(s *Stage, ctx context.Context) error {
		name, err := who(s, ctx)
		if err != nil {
			return err
		}
		var hits int64
		for range 6 {
			a := s.Net.Apply(Rule{From: name, Reset: true})
			a.Heal()
			hits += a.Hits()
			if err := s.pause(ctx, 400*time.Millisecond, 2*time.Second); err != nil {
				return err
			}
		}
		if hits == 0 {
			return fmt.Errorf("%s had no connection to reset", name)
		}
		return nil
	}
}

// flipped changes one byte of the log on its way to the capturer: in the middle of a row of the workload, whose pad is a run of x.
func (s *Stage) flipped(ctx context.Context) error {
	name, err := s.capturer(ctx)
	if err != nil {
		return err
	}
	pad := bytes.Repeat([]byte("x"), 40)
	return s.applyUntil(ctx, Rule{From: name, To: s.Load.Proxy, Times: 1, Flip: func(piece []byte) int {
		if i := bytes.Index(piece, pad); i >= 0 {
			return i + 20
		}
		return -1
	}}, 1, 20*time.Second)
}

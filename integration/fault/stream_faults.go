package fault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"golang.org/x/net/http2"
	"golang.org/x/sync/errgroup"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	"github.com/rowmesh/rowmesh/services/capture"
	"github.com/rowmesh/rowmesh/services/failpoint"
	"github.com/rowmesh/rowmesh/services/rpc"
)

// streamFaults are groups G and C, and N14.
func streamFaults() []Fault {
	return []Fault{
		{ID: "G1", Name: "a message of the row stream is left out", Do: message("drop")},
		{ID: "G1", Name: "a message of the row stream comes twice", Do: message("twice")},
		{ID: "G2", Name: "a row of several megabytes", Do: (*Stage).wide},
		{ID: "G3", Name: "a capturer with open streams is asked to end", Do: (*Stage).capturerEnds},
		{ID: "G4", Name: "a client pings a capturer without end", Do: (*Stage).pings},
		{ID: "G4", Name: "garbage on the ports of capturers, publishers and coordinators", Do: (*Stage).hostile},
		{ID: "G5", Name: "what was sent never arrives, as the publisher dies", Do: crashAt((*Stage).worker, failpoint.Convert, 2)},
		{ID: "N14", Name: "subscribers that do not read", Do: (*Stage).silent},
		{ID: "C1", Name: "at once: publisher killed, capturer's connections reset", Alone: true, Do: together(killed((*Stage).worker), resets((*Stage).capturer))},
		{ID: "C1", Name: "at once: publisher a zombie, etcd's leader stopped", Long: true, Alone: true, Do: together((*Stage).zombie, (*Stage).etcdLeaderStopped)},
		{ID: "C1", Name: "at once: EndTxn late, dump threads killed", Alone: true, Do: together(late, (*Stage).dumpKilled)},
		{ID: "C1", Name: "at once: source killed, publishers cut off from Kafka, leading coordinator killed", Long: true, Alone: true, Do: together((*Stage).sourceKilled, (*Stage).leaderKilledOnly,
			func(s *Stage, ctx context.Context) error {
				return s.apply(ctx, Rule{From: "publisher-*", To: "kafka-*", Refuse: true, Reset: true}, 3*time.Second, time.Minute)
			})},
	}
}

// together does several faults at the same time.
func together(all ...func(*Stage, context.Context) error) func(*Stage, context.Context) error {
	return func(s *Stage, ctx context.Context) error {
		g, ctx := errgroup.WithContext(ctx)
		for _, f := range all {
			g.Go(func() error { return f(s, ctx) })
		}
		return g.Wait()
	}
}

// late delays commits of all publishers beyond their connections.
func late(s *Stage, ctx context.Context) error {
	return s.applyUntil(ctx, Rule{From: "publisher-*", To: "kafka-*", Times: 3, Kafka: &Requests{Keys: []int16{EndTxn}, Treat: Late, Delay: time.Second}}, 3, 30*time.Second)
}

func (s *Stage) leaderKilledOnly(ctx context.Context) error {
	name, err := s.leader(ctx)
	if err != nil {
		return err
	}
	return s.Kill(name)
}

// message does something to one message of the row stream, which the publisher must notice.
func message(action string) func(*Stage, context.Context) error {
	return func(s *Stage, ctx context.Context) error {
		name, err := s.capturer(ctx)
		if err != nil {
			return err
		}
		return s.AtPoint(ctx, name, failpoint.Send, action, 5)
	}
}

// wide writes a row that no single message of gRPC's default size could hold. Requires: the load's producer takes it (wideBytes).
func (s *Stage) wide(ctx context.Context) error {
	table := fmt.Sprintf("wide%d", s.Rnd.IntN(1_000_000))
	topic := s.Load.Name + "." + s.Load.W.Database + "." + table
	size := fmt.Sprint(wideBytes)
	err := s.Admin(ctx, func(ctx context.Context, adm *kadm.Client) error {
		_, err := adm.CreateTopic(ctx, 1, int16(s.Brokers), map[string]*string{"max.message.bytes": &size}, topic)
		return err
	})
	if err != nil {
		return err
	}
	server, name := s.Primary(s.Load.Proxy), s.Load.W.Database+"."+table
	if err := s.Exec(ctx, server, "create table "+name+" (k bigint primary key, version bigint not null, v longtext)", "insert into "+name+" values (1,1,repeat('w', 5000000)), (2,1,'small')"); err != nil {
		return err
	}
	return s.Load.Exactly(ctx, table, "c 1 1", "c 2 1")
}

// wideBytes is what a record may take; WideConfig are options of a load that lets it.
const wideBytes = 12_000_000

// WideConfig returns options of a connector whose records may be large.
func WideConfig() map[string]string {
	return map[string]string{"producer.override.max.request.size": fmt.Sprint(wideBytes)}
}

func (s *Stage) capturerEnds(ctx context.Context) error {
	name, err := s.capturer(ctx)
	if err != nil {
		return err
	}
	begin := time.Now()
	if err := s.Stop(name); err != nil {
		return err
	}
	if took := time.Since(begin); took > endLimit {
		return fmt.Errorf("%s took %s to end", name, took)
	}
	begin = time.Now()
	if err := s.Load.Recovered(ctx, begin, settleLimit); err != nil {
		return err
	}
	s.Log("%s ended: changes of all tables again after %.2f s", name, time.Since(begin).Seconds())
	return nil
}

// pings sends a capturer far more pings than HTTP/2 needs, until it hangs up.
func (s *Stage) pings(ctx context.Context) error {
	name, err := s.capturer(ctx)
	if err != nil {
		return err
	}
	c, err := net.DialTimeout("tcp", s.Members[name].GRPC, 5*time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
		return err
	}
	f := http2.NewFramer(c, c)
	if err := f.WriteSettings(); err != nil {
		return err
	}
	for i := range 100_000 {
		if err := f.WritePing(false, [8]byte{byte(i)}); err != nil {
			break
		}
	}
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				return fmt.Errorf("%s takes pings without end", name)
			}
			break // it hung up
		}
		if _, ok := frame.(*http2.GoAwayFrame); ok {
			break
		}
	}
	return s.flows(ctx, flowLimit)
}

// hostile sends what is no HTTP/2, and HTTP/2 that is none, to every port of the mesh.
func (s *Stage) hostile(ctx context.Context) error {
	noise := make([]byte, 1<<16)
	for i := range noise {
		noise[i] = byte(s.Rnd.IntN(256))
	}
	for _, name := range append(append(s.Names("capturer"), s.Names("publisher")...), s.Names("coordinator")...) {
		for _, text := range [][]byte{noise, []byte("GET / HTTP/1.0\r\n\r\n"), append([]byte(http2.ClientPreface), noise...), bytes.Repeat([]byte{0}, 1<<16)} {
			c, err := net.DialTimeout("tcp", s.Members[name].GRPC, 5*time.Second)
			if err != nil {
				return err
			}
			c.SetDeadline(time.Now().Add(2 * time.Second))
			_, _ = c.Write(text)
			_, _ = io.Copy(io.Discard, io.LimitReader(c, 1<<16))
			c.Close()
		}
		if !s.Alive(name) {
			return fmt.Errorf("%s has ended of it", name)
		}
	}
	return s.flows(ctx, flowLimit)
}

// silent opens subscriptions for all that the load has ever written, and reads nothing of them.
func (s *Stage) silent(ctx context.Context) error {
	name, err := s.capturer(ctx)
	if err != nil {
		return err
	}
	pool := capture.NewPool()
	conn, err := rpc.Dial(s.Members[name].GRPC, rpc.Security{}, capture.DialOptions(pool)...)
	if err != nil {
		return err
	}
	defer conn.Close()
	for i := range 3 {
		stream, err := capture.NewClient(conn).Subscribe(ctx, &capturev1.Open{
			Consumer: fmt.Sprintf("silent-%d", i), Source: strings.ToLower(s.Net.Proxy(s.Load.Proxy).Addr),
			Tables: &capturev1.TableFilter{IncludeTables: []string{s.Load.W.Database + `\..*`}},
			Start:  &capturev1.Start{At: &capturev1.Start_Earliest{Earliest: true}},
		})
		if err != nil {
			return err
		}
		defer stream.Close()
	}
	if err := s.pause(ctx, 3*time.Second, 2*time.Minute); err != nil {
		return err
	}
	return s.flows(ctx, flowLimit)
}

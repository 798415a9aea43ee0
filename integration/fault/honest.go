package fault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Place is a connector with one table, for faults behind which it must stop, or go on only once somebody has mended something. Other connectors must not notice.
type Place struct {
	*Cluster
	*Stream
	// Name of the connector; Table is its only table with the database before it; Topic is the table's.
	Name, Table, Topic string
	// Proxy is in front of its source.
	Proxy string
}

// NewPlace makes one on the server behind a proxy. Its table has row 1 before the connector is made, and gets row 2 after.
func (c *Cluster) NewPlace(ctx context.Context, name, proxy string, config map[string]string) (*Place, error) {
	database := strings.ReplaceAll(name, "-", "_")
	p := &Place{Cluster: c, Name: name, Table: database + ".t", Topic: name + "." + database + ".t", Proxy: proxy}
	err := p.sql(ctx, "drop database if exists "+database, "create database "+database, "create table "+p.Table+" (k bigint primary key, version bigint not null, v longtext)", "insert into "+p.Table+" values (1,1,'before')")
	if err != nil {
		return nil, err
	}
	if p.Stream, err = c.followTopics(name, database); err != nil {
		return nil, err
	}
	if err := c.Create(ctx, name, c.Config(name, proxy, database, config), 1); err != nil {
		return nil, err
	}
	if err := p.insert(ctx, 2); err != nil {
		return nil, err
	}
	return p, p.Exactly(ctx, "t", "r 1 1", "c 2 1")
}

// Remove deletes the connector.
func (p *Place) Remove(ctx context.Context) error {
	p.Stream.Close()
	return p.Delete(ctx, p.Name)
}

func (p *Place) sql(ctx context.Context, statements ...string) error {
	return p.Exec(ctx, p.Primary(p.Proxy), statements...)
}

func (p *Place) insert(ctx context.Context, keys ...int) error {
	for _, k := range keys {
		if err := p.sql(ctx, fmt.Sprintf("insert into %s values (%d,1,'x')", p.Table, k)); err != nil {
			return err
		}
	}
	return nil
}

// stopped waits for an honest stop that says some words, and fails if anything comes behind it.
func (p *Place) stopped(ctx context.Context, limit time.Duration, words ...string) error {
	if err := p.Failed(ctx, p.Name, limit, words...); err != nil {
		return err
	}
	before := p.Stream.Count()
	if err := p.insert(ctx, 90); err != nil {
		return err
	}
	t := time.NewTimer(time.Second) // nothing may come: there is no sign to wait for
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
	}
	if n := p.Stream.Count(); n != before {
		return fmt.Errorf("%d events came behind the stop", n-before)
	}
	return p.Failed(ctx, p.Name, time.Second, words...)
}

// away stops the connector's lane while f is done, as an operator does.
func (p *Place) away(ctx context.Context, f func() error) error {
	if code, body := p.Call(ctx, http.MethodPut, "/connectors/"+p.Name+"/stop", nil); code/100 != 2 {
		return fmt.Errorf("stop: %d %s", code, body)
	}
	err := Until(ctx, 20*time.Second, "the connector to stop", func() error {
		all, body, err := p.Tasks(ctx, p.Name)
		if err == nil && len(all) > 0 {
			err = fmt.Errorf("it has tasks: %s", body)
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := f(); err != nil {
		return err
	}
	if code, body := p.Call(ctx, http.MethodPut, "/connectors/"+p.Name+"/resume", nil); code/100 != 2 {
		return fmt.Errorf("resume: %d %s", code, body)
	}
	return nil
}

// Stop is a fault that a lane does not live through by itself.
type Stop struct {
	// ID and Name as those of a Fault.
	ID, Name string
	// Long as that of a Fault.
	Long bool
	// Proxy is in front of the source that it is done to; default Spare.
	Proxy string
	// Config of the connector.
	Config map[string]string
	// Do does it and verifies what must be seen.
	Do func(*Place, context.Context) error
}

func (x Stop) String() string { return x.ID + " " + x.Name }

// Stops are the faults behind which a lane stops, or waits for somebody.
func Stops() []Stop {
	return []Stop{
		{ID: "M6", Name: "the log is purged beneath the place", Do: (*Place).purged},
		{ID: "M6", Name: "the log is purged, and when_needed asks for a new snapshot", Config: map[string]string{"snapshot.mode": "when_needed"}, Do: (*Place).purgedWhenNeeded},
		{ID: "M8", Name: "the server gets another uuid", Long: true, Do: (*Place).newUUID},
		{ID: "M11", Name: "changes logged as statements in one session", Do: (*Place).statementFormat},
		{ID: "K10", Name: "a topic is deleted", Do: (*Place).topicDeleted},
		{ID: "K11", Name: "a topic gets more partitions", Do: (*Place).morePartitions},
		{ID: "K12", Name: "a record is larger than the topic takes", Do: (*Place).tooLarge},
		{ID: "K13", Name: "the right to write a topic is taken away", Do: (*Place).denied},
		{ID: "K16", Name: "checkpoints are deleted by age", Config: map[string]string{"offsets.storage.topic": "fault-deleted-offsets"}, Long: true, Do: (*Place).deletedByAge},
		{ID: "M9", Name: "somebody else reads the log with the same server id", Config: map[string]string{"database.server.id": "4711"}, Do: (*Place).sameServerID},
		{ID: "M23", Name: "tables change while nobody reads", Do: (*Place).changedMeanwhile},
		{ID: "M12", Name: "changes outside of the log", Do: (*Place).outsideLog},
		{ID: "M5", Name: "the server comes back as it was before what it has told", Long: true, Do: (*Place).lostTail},
	}
}

// LateStops are those for which a lane waits half a minute, as what it misses may still come. They may be done at the same time. Behind the last of them nothing can be done to
// the pair of servers any more.
func LateStops() []Stop {
	return []Stop{
		{ID: "M7", Name: "the server's log and GTIDs are reset", Do: (*Place).reset},
		{ID: "M3", Name: "failover to a replica that lacks what was told", Proxy: Source, Do: (*Place).lostFailover},
	}
}

// purgeAll removes all files of the log but the newest.
func (p *Place) purgeAll(ctx context.Context) error {
	server := p.Primary(p.Proxy)
	if err := p.sql(ctx, "flush binary logs", "insert into "+p.Table+" values (80,1,'x')", "flush binary logs"); err != nil {
		return err
	}
	newest, err := p.Ask(ctx, server, "show binary log status")
	if err != nil {
		return err
	}
	return p.sql(ctx, "purge binary logs to '"+newest+"'")
}

func (p *Place) purged(ctx context.Context) error {
	err := p.away(ctx, func() error {
		return errors.Join(p.insert(ctx, 3), p.purgeAll(ctx))
	})
	if err != nil {
		return err
	}
	return p.stopped(ctx, 30*time.Second, "no longer available", "purged", "snapshot.mode=when_needed", "binlog_expire_logs_seconds")
}

func (p *Place) purgedWhenNeeded(ctx context.Context) error {
	err := p.away(ctx, func() error {
		return errors.Join(p.insert(ctx, 3), p.purgeAll(ctx))
	})
	if err != nil {
		return err
	}
	return p.Exactly(ctx, "t", "r 1 1", "c 2 1", "r 1 1", "r 2 1", "r 3 1", "r 80 1")
}

// newUUID is what happens to a server whose auto.cnf was removed: its transactions are still its own, so the place holds.
func (p *Place) newUUID(ctx context.Context) error {
	name := p.Primary(p.Proxy)
	n, err := p.node(name)
	if err != nil {
		return err
	}
	before, err := p.Ask(ctx, name, "select @@server_uuid")
	if err != nil {
		return err
	}
	if err := p.Stop(name); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(n.dir, "data", "auto.cnf")); err != nil {
		return err
	}
	if err := p.Spawn(ctx, name); err != nil {
		return err
	}
	after, err := p.Ask(ctx, name, "select @@server_uuid")
	if err != nil {
		return err
	}
	if after == before {
		return errors.New("the server has the uuid that it had")
	}
	if err := p.insert(ctx, 3); err != nil {
		return err
	}
	return p.Exactly(ctx, "t", "r 1 1", "c 2 1", "c 3 1")
}

// statementFormat: what a statement did to rows is not in the log. It is told in the capturer's log and counted, and the rows around it come.
func (p *Place) statementFormat(ctx context.Context) error {
	if err := p.sql(ctx, "set session binlog_format=STATEMENT", "insert into "+p.Table+" values (3,1,'lost')"); err != nil {
		return err
	}
	if err := p.insert(ctx, 4); err != nil {
		return err
	}
	if err := p.Exactly(ctx, "t", "r 1 1", "c 2 1", "c 4 1"); err != nil {
		return err
	}
	if !strings.Contains(p.logsOf("capturer"), "logged as a statement") {
		return errors.New("no capturer says that a change was logged as a statement")
	}
	return nil
}

// logsOf returns all that the members of a role have logged.
func (c *Cluster) logsOf(role string) string {
	files, err := filepath.Glob(filepath.Join(c.Dir, role+"-*.log"))
	if err != nil {
		return ""
	}
	var b strings.Builder
	for _, f := range files {
		text, _ := os.ReadFile(f)
		b.Write(text)
	}
	return b.String()
}

// topicDeleted: what was in the topic is gone, as whoever deleted it wants. What comes then is in the new one.
func (p *Place) topicDeleted(ctx context.Context) error {
	err := p.Admin(ctx, func(ctx context.Context, adm *kadm.Client) error {
		_, err := adm.DeleteTopic(ctx, p.Topic)
		return err
	})
	if err != nil {
		return err
	}
	if err := p.insert(ctx, 3); err != nil {
		return err
	}
	database, _, _ := strings.Cut(p.Table, ".")
	again, err := p.followTopics(p.Name, database) // a consumer of the old topic does not see the new one
	if err != nil {
		return err
	}
	defer again.Close()
	return Until(ctx, time.Minute, "the row behind the deletion", func() error {
		all, err := again.Texts("t")
		if err == nil && (len(all) == 0 || all[len(all)-1] != "c 3 1") {
			err = fmt.Errorf("%q", all)
		}
		return err
	})
}

func (p *Place) morePartitions(ctx context.Context) error {
	err := p.Admin(ctx, func(ctx context.Context, adm *kadm.Client) error {
		r, err := adm.CreatePartitions(ctx, 2, p.Topic)
		if err == nil {
			_, err = r.On(p.Topic, func(x *kadm.CreatePartitionsResponse) error { return x.Err })
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := p.insert(ctx, 3, 4, 5, 6, 7, 8); err != nil {
		return err
	}
	if err := p.RestartTasks(ctx, p.Name); err != nil {
		return err
	}
	if err := p.insert(ctx, 9, 10, 11, 12, 13, 14); err != nil {
		return err
	}
	return Until(ctx, time.Minute, "each row once", func() error {
		all, err := p.Events("t")
		seen := map[int64]int{}
		for _, e := range all {
			seen[e.Key]++
		}
		for k := int64(1); k <= 14; k++ {
			if seen[k] != 1 {
				err = errors.Join(err, fmt.Errorf("row %d came %d times", k, seen[k]))
			}
		}
		return err
	})
}

// tooLarge: the lane stops with the reason and tells nothing behind it, and goes on where it was once the topic takes more.
func (p *Place) tooLarge(ctx context.Context) error {
	if err := p.SetTopic(ctx, p.Topic, "max.message.bytes=2000"); err != nil {
		return err
	}
	if err := p.sql(ctx, "insert into "+p.Table+" values (3,1,repeat('y', 5000))"); err != nil {
		return err
	}
	if err := p.stopped(ctx, 40*time.Second, p.Topic, "max.message.bytes"); err != nil {
		return err
	}
	return p.mended(ctx, p.SetTopic(ctx, p.Topic, "max.message.bytes"))
}

// mended restarts the task when the cause is gone: rows 3 and 90, the latter written behind the stop, must come once each.
func (p *Place) mended(ctx context.Context, err error) error {
	if err != nil {
		return err
	}
	if err := p.RestartTasks(ctx, p.Name); err != nil {
		return err
	}
	return p.Exactly(ctx, "t", "r 1 1", "c 2 1", "c 3 1", "c 90 1")
}

func (p *Place) denied(ctx context.Context) error {
	acl := kadm.NewACLs().Topics(p.Topic).ResourcePatternType(kadm.ACLPatternLiteral).Operations(kmsg.ACLOperationWrite).Deny("User:ANONYMOUS").DenyHosts()
	err := p.Admin(ctx, func(ctx context.Context, adm *kadm.Client) error {
		r, err := adm.CreateACLs(ctx, acl)
		for _, x := range r {
			err = errors.Join(err, x.Err)
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := p.insert(ctx, 3); err != nil {
		return err
	}
	if err := p.stopped(ctx, 40*time.Second, p.Topic, "grant"); err != nil {
		return err
	}
	err = p.Admin(ctx, func(ctx context.Context, adm *kadm.Client) error {
		r, err := adm.DeleteACLs(ctx, acl)
		for _, x := range r {
			err = errors.Join(err, x.Err)
		}
		return err
	})
	return p.mended(ctx, err)
}

func (p *Place) deletedByAge(ctx context.Context) error {
	const topic = "fault-deleted-offsets"
	if err := p.SetTopic(ctx, topic, "cleanup.policy=delete"); err != nil {
		return err
	}
	if err := p.RestartTasks(ctx, p.Name); err != nil {
		return err
	}
	if err := p.insert(ctx, 3); err != nil {
		return err
	}
	if err := p.stopped(ctx, 30*time.Second, topic, "cleanup.policy"); err != nil {
		return err
	}
	return p.mended(ctx, p.SetTopic(ctx, topic, "cleanup.policy=compact"))
}

// sameServerID reads the log with mysqlbinlog under the connector's own server id.
func (p *Place) sameServerID(ctx context.Context) error {
	stop, err := p.dump(ctx, p.Primary(p.Proxy), 4711)
	if err != nil {
		return err
	}
	defer stop()
	for k := 3; k < 8; k++ {
		if err := p.insert(ctx, k); err != nil {
			return err
		}
	}
	return p.Exactly(ctx, "t", "r 1 1", "c 2 1", "c 3 1", "c 4 1", "c 5 1", "c 6 1", "c 7 1")
}

// changedMeanwhile: what was written before a change of the table must be read as it was then.
func (p *Place) changedMeanwhile(ctx context.Context) error {
	err := p.away(ctx, func() error {
		return p.sql(ctx, "insert into "+p.Table+" values (3,1,'old')", "alter table "+p.Table+" add column n int default 7 after version", "insert into "+p.Table+" values (4,1,44,'new')",
			"alter table "+p.Table+" drop column v", "insert into "+p.Table+" values (5,1,55)")
	})
	if err != nil {
		return err
	}
	if err := p.Exactly(ctx, "t", "r 1 1", "c 2 1", "c 3 1", "c 4 1", "c 5 1"); err != nil {
		return err
	}
	all, err := p.Events("t")
	if err != nil {
		return err
	}
	for i, want := range map[int]string{2: `"after":{"k":3,"version":1,"v":"old"}`, 3: `"after":{"k":4,"version":1,"n":44,"v":"new"}`, 4: `"after":{"k":5,"version":1,"n":55}`} {
		if !strings.Contains(string(all[i].Value), want) {
			err = errors.Join(err, fmt.Errorf("event %d is %s, want %s in it", i, all[i].Value, want))
		}
	}
	return err
}

// outsideLog: nobody who reads the log can see it. A comparison of rows and events does.
func (p *Place) outsideLog(ctx context.Context) error {
	if err := p.sql(ctx, "set sql_log_bin=0", "insert into "+p.Table+" values (3,1,'hidden')"); err != nil {
		return err
	}
	if err := p.insert(ctx, 4); err != nil {
		return err
	}
	if err := p.Exactly(ctx, "t", "r 1 1", "c 2 1", "c 4 1"); err != nil {
		return err
	}
	rows, err := p.Ask(ctx, p.Primary(p.Proxy), "select count(*) from "+p.Table)
	if err == nil && rows != "4" {
		err = fmt.Errorf("the table has %s rows, not 4: nothing was hidden", rows)
	}
	return err
}

func (p *Place) reset(ctx context.Context) error {
	if err := p.sql(ctx, "reset binary logs and gtids"); err != nil {
		return err
	}
	return p.stopped(ctx, 90*time.Second, "never executed", "snapshot")
}

// lostTail restores the server's data as they were before a transaction that was told.
func (p *Place) lostTail(ctx context.Context) error {
	name := p.Primary(p.Proxy)
	backup := filepath.Join(p.Dir, "database-backup")
	for _, step := range []func() error{
		func() error { return p.Stop(name) },
		func() error { return p.copyData(name, backup, false) },
		func() error { return p.Spawn(ctx, name) },
		func() error { return p.insert(ctx, 3) },
		func() error { return p.Exactly(ctx, "t", "r 1 1", "c 2 1", "c 3 1") },
		func() error { return p.Kill(name) },
		func() error { return p.copyData(name, backup, true) },
		func() error { return p.Spawn(ctx, name) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return p.stopped(ctx, 90*time.Second, "never executed", "snapshot")
}

func (p *Place) lostFailover(ctx context.Context) error {
	old := p.Primary(p.Proxy)
	next, err := p.replica()
	if err != nil {
		return err
	}
	for _, step := range []func() error{
		func() error { return p.CatchUp(ctx, next, old) },
		func() error { return p.Exec(ctx, next, "stop replica io_thread") },
		func() error { return p.insert(ctx, 3) },
		func() error { return p.Exactly(ctx, "t", "r 1 1", "c 2 1", "c 3 1") },
		func() error { return p.Kill(old) },
		func() error { return p.Promote(ctx, next) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	if n, err := p.node(old); err == nil {
		n.gone = true
	}
	return p.stopped(ctx, 90*time.Second, "never executed", "point the connector at the right server")
}

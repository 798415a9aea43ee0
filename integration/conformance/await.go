package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// await writes markers until the connector has produced one of them, or has failed where it may.
func (r *runner) await(ctx context.Context, what string) error {
	if r.c.NoStream || r.end.Failed != "" {
		return nil
	}
	begin, first := time.Now(), r.next+1
	var wrote, failed time.Time
	for r.seen.Load() < first {
		if time.Since(wrote) > time.Second { // without a snapshot of rows, one that was too early never comes
			wrote = time.Now()
			r.next++
			if err := r.exec("set timestamp=1700000000"); err != nil {
				return err
			}
			if err := r.exec(fmt.Sprintf("insert into `%s`.zz_marker values (%d)", r.name, r.next)); err != nil {
				return err
			}
		}
		_, status, err := r.call(ctx, http.MethodGet, "/connectors/"+r.Connector+"/status", nil)
		if err != nil {
			return err
		}
		if strings.Contains(status, `"FAILED"`) {
			if r.end.Failed, r.end.Status = what+": "+status, json.RawMessage(status); !r.MayFail {
				return fmt.Errorf("%.3000s", r.end.Failed)
			}
			if failed.IsZero() {
				failed = time.Now()
			}
			if r.over(ctx, failed) {
				return nil
			}
		}
		if time.Since(begin) > 60*time.Second {
			return fmt.Errorf("%s: no marker after 60 s: %s", what, status)
		}
		select {
		case <-r.news:
		case <-time.After(200 * time.Millisecond): // the connector is in other processes: it may have failed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// over says whether a connector that failed at an instant has brought all that what does not fail in it brings.
func (r *runner) over(ctx context.Context, failed time.Time) bool {
	if time.Since(failed) > r.GoesOn {
		return true
	}
	if r.Whole == nil {
		return false
	}
	records, err := r.read(ctx)
	return err == nil && r.Whole(records) // a topic that is just being made cannot be read yet
}

// stop stops the connector and waits until it is so.
func (r *runner) stop(ctx context.Context) error {
	if _, err := r.ask(ctx, http.MethodPut, "/connectors/"+r.Connector+"/stop", nil); err != nil {
		return err
	}
	err := until(ctx, 60*time.Second, "stop", func() error {
		status, err := r.ask(ctx, http.MethodGet, "/connectors/"+r.Connector+"/status", nil)
		if err == nil && (!strings.Contains(status, `"STOPPED"`) || !strings.Contains(status, `"tasks":[]`)) {
			err = fmt.Errorf("status %s", status)
		}
		return err
	})
	time.Sleep(r.Settle) // the task's last offsets
	return err
}

// settled waits until a connector that does not stream has nothing more to say: its offset no longer says that a snapshot runs.
func (r *runner) settled(ctx context.Context) error {
	return until(ctx, 60*time.Second, "end of the snapshot", func() error {
		body, err := r.ask(ctx, http.MethodGet, "/connectors/"+r.Connector+"/offsets", nil)
		if err == nil && (!strings.Contains(body, `"file"`) || strings.Contains(body, "INITIAL")) {
			err = fmt.Errorf("offsets: %s", body)
		}
		return err
	})
}

// markerTopic holds the marker's records.
func (r *runner) markerTopic() string {
	if t := r.c.Config["_marker_topic"]; t != "" {
		return strings.ReplaceAll(t, "$DB", r.name)
	}
	return r.name + "." + r.name + ".zz_marker"
}

// markerID is the id in a marker's key, as JSON with or without a schema before it, or as the text of a struct.
var markerID = regexp.MustCompile(`\bid"?[:=](\d+)`)

// watch notes the marker's records.
func (r *runner) watch(ctx context.Context) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(r.Kafka), kgo.ConsumeTopics(r.markerTopic()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.MetadataMinAge(50*time.Millisecond), kgo.MetadataMaxAge(500*time.Millisecond), kgo.FetchMaxWait(100*time.Millisecond), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		r.Say("watch %s: %v", r.markerTopic(), err)
		return
	}
	defer cl.Close()
	for ctx.Err() == nil {
		cl.PollFetches(ctx).EachRecord(func(x *kgo.Record) {
			m := markerID.FindAllSubmatch(x.Key, -1)
			if len(m) == 0 {
				return
			}
			if id, err := strconv.ParseInt(string(m[len(m)-1][1]), 10, 64); err == nil && id > r.seen.Load() {
				r.seen.Store(id)
				select {
				case r.news <- struct{}{}:
				default:
				}
			}
		})
	}
}

package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/rowmesh/rowmesh/integration/fault"
	"github.com/rowmesh/rowmesh/integration/history"
)

// named is how a violation names a key: "db.table key 7".
var named = regexp.MustCompile(`([\w]+)\.([\w]+) key (-?\d+)`)

// evidence writes down all that there is of the keys that violations name, from the server's log and from the topics, before the data are removed.
func (r *round) evidence(ctx context.Context) error {
	keys := map[string]map[int64]bool{} // by table
	for _, v := range r.report.Violations {
		for _, m := range named.FindAllStringSubmatch(v.Record+" "+v.Text, -1) {
			k, err := strconv.ParseInt(m[3], 10, 64)
			if err != nil {
				continue
			}
			if keys[m[2]] == nil {
				keys[m[2]] = map[int64]bool{}
			}
			keys[m[2]][k] = true
		}
	}
	f, err := os.Create(filepath.Join(r.o.report, fmt.Sprintf("evidence-%03d.txt", r.n)))
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	dir, err := os.MkdirTemp(r.c.Dir, "evidence")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	files, err := r.load.Files(ctx, dir)
	if err != nil {
		return err
	}
	if err := inLog(w, files, r.load.W.Database, keys); err != nil {
		return err
	}
	if err := r.inTopics(ctx, w, keys); err != nil {
		return err
	}
	return w.Flush()
}

// inLog writes all transactions that have one of the keys.
func inLog(w *bufio.Writer, files []string, database string, keys map[string]map[int64]bool) error {
	n := 0
	return history.Log(files, func(table string) bool { return strings.HasPrefix(table, database+".") }, func(t *history.Txn) error {
		n++
		for _, row := range t.Rows {
			of := keys[strings.TrimPrefix(row.Table, database+".")]
			for _, image := range [][]history.Value{row.Before, row.After} {
				if len(image) == 0 {
					continue
				}
				if k, err := strconv.ParseInt(image[0].Text, 10, 64); err != nil || !of[k] {
					continue
				}
				fmt.Fprintf(w, "log: transaction %d, %s, %s:%d-%d\n", n, t.GTID, t.File, t.Start, t.End)
				for _, x := range t.Rows {
					fmt.Fprintf(w, "     %s %v -> %v\n", x.Table, x.Before, x.After)
				}
				return nil
			}
		}
		return nil
	})
}

// inTopics writes all records of the keys, committed or not, with all markers of their topics.
func (r *round) inTopics(ctx context.Context, w *bufio.Writer, keys map[string]map[int64]bool) error {
	var topics []string
	for table := range keys {
		topics = append(topics, r.load.Name+"."+r.load.W.Database+"."+table)
	}
	if len(topics) == 0 {
		return nil
	}
	_, err := history.Topics(ctx, r.c.Kafkas()[0], append(topics, fault.Offsets), func(x *kgo.Record, marker byte) {
		what, wanted := "", marker != 0
		switch {
		case marker != 0:
			what = fmt.Sprintf("marker %c", marker)
		case x.Topic == fault.Offsets:
			what, wanted = fmt.Sprintf("checkpoint %s %s", x.Key, x.Value), strings.Contains(string(x.Key), `"`+r.load.Name+`"`)
		default:
			what = fmt.Sprintf("%s -> %s", x.Key, x.Value)
			k, version, err := history.Newest(x.Value)
			wanted = x.Value == nil || err != nil || keys[x.Topic[strings.LastIndexByte(x.Topic, '.')+1:]][k]
			what = fmt.Sprintf("version %d %s", version, what)
		}
		if wanted {
			fmt.Fprintf(w, "topic: %s/%d@%d %s producer %d epoch %d %s\n", x.Topic, x.Partition, x.Offset, x.Timestamp.Format("15:04:05.000"), x.ProducerID, x.ProducerEpoch, what)
		}
	}, func(*kgo.Record, int) {})
	return err
}

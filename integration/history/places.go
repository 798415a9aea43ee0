package history

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
)

// places are where R's transactions end, so that a checkpoint's place becomes a number of transactions.
type places struct {
	ends []end
	// gtids are the transactions' numbers by who gave them, a server's UUID or a MariaDB domain, in the order of the log, in which they rise.
	gtids map[string][]int64
}

type end struct {
	file string
	pos  uint64
}

func (p *places) add(t *Txn) error {
	p.ends = append(p.ends, end{t.File, t.End})
	if t.GTID == "" {
		return nil
	}
	who, n, err := splitGTID(t.GTID)
	if err != nil {
		return err
	}
	if before := p.gtids[who]; len(before) > 0 && before[len(before)-1] >= n {
		return fmt.Errorf("transaction %s at %s:%d comes after number %d", t.GTID, t.File, t.Start, before[len(before)-1])
	}
	p.gtids[who] = append(p.gtids[who], n)
	return nil
}

// splitGTID splits "uuid:n" and "domain-server-n".
func splitGTID(gtid string) (who string, n int64, err error) {
	i := strings.LastIndexByte(gtid, ':')
	if i >= 0 {
		who = gtid[:i]
	} else {
		i = strings.LastIndexByte(gtid, '-')
		who, _, _ = strings.Cut(gtid, "-")
	}
	if n, err = strconv.ParseInt(gtid[i+1:], 10, 64); err != nil {
		return "", 0, fmt.Errorf("GTID %q: %w", gtid, err)
	}
	return who, n, nil
}

// count returns how many transactions are before a place of the log.
func (p *places) count(file string, pos uint64) int {
	return sort.Search(len(p.ends), func(i int) bool { return p.ends[i].file > file || p.ends[i].file == file && p.ends[i].pos > pos })
}

// countSet returns how many transactions are in a set of GTIDs: "uuid:1-5:7,uuid:1-3", or MariaDB's "0-1-5,1-1-7".
func (p *places) countSet(set string) (int, error) {
	n := 0
	for _, part := range strings.Split(set, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		who, intervals, mysql := strings.Cut(part, ":")
		if !mysql {
			domain, to, err := splitGTID(part)
			if err != nil {
				return 0, err
			}
			n += upTo(p.gtids[domain], to)
			continue
		}
		for _, x := range strings.Split(intervals, ":") {
			first, last, _ := strings.Cut(x, "-")
			from, err := strconv.ParseInt(first, 10, 64)
			if err != nil {
				return 0, fmt.Errorf("GTID set %q: %w", set, err)
			}
			to := from
			if last != "" {
				if to, err = strconv.ParseInt(last, 10, 64); err != nil {
					return 0, fmt.Errorf("GTID set %q: %w", set, err)
				}
			}
			n += upTo(p.gtids[strings.ToLower(who)], to) - upTo(p.gtids[strings.ToLower(who)], from-1)
		}
	}
	return n, nil
}

// upTo returns how many of the rising numbers are at most n.
func upTo(numbers []int64, n int64) int {
	return sort.Search(len(numbers), func(i int) bool { return numbers[i] > n })
}

package conformance

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// stream is what a topic-partition holds, rendered: "topic/partition" → records.
type stream map[string][]string

// add renders a record.
func (s stream) add(topic string, partition int32, key, value string, headers [][2]string) {
	var h strings.Builder
	for _, kv := range headers {
		fmt.Fprintf(&h, " %s=%s", kv[0], maskHeader(kv[0], kv[1]))
	}
	at := fmt.Sprintf("%s/%d", topic, partition)
	s[at] = append(s[at], "key="+key+"\nvalue="+value+"\nheaders="+h.String())
}

// foreign is the end of a transaction that touches nothing but other databases or the marker: how many of those there are is chance.
var foreign = regexp.MustCompile(`"status":"END".*("event_count":0,"data_collections":\[\]|"event_count":1,"data_collections":\[\{"data_collection":"[^"]*zz_marker","event_count":1\}\])`)

// trimmed leaves out what chance decides how often it comes: transactions that touch nothing of the case, and heartbeats after the first.
func (s stream) trimmed() stream {
	out := stream{}
	for at, recs := range s {
		var kept []string
		for _, r := range recs {
			switch {
			case foreign.MatchString(r) && len(kept) > 0 && strings.Contains(kept[len(kept)-1], `"status":"BEGIN"`):
				kept = kept[:len(kept)-1]
			case len(kept) > 0 && kept[len(kept)-1] == r && strings.Contains(r, `"serverName":`):
			default:
				kept = append(kept, r)
			}
		}
		if len(kept) > 0 {
			out[at] = kept
		}
	}
	return out
}

// compare returns how many records differ, and tells the first so many differences: where, and the fields or the bytes around the first one.
func compare(want, got stream, most int) (bad int, out []string) {
	want, got = want.trimmed(), got.trimmed()
	say := func(format string, args ...any) {
		if len(out) < most {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	var topics []string
	for t := range want {
		topics = append(topics, t)
	}
	slices.Sort(topics)
	for _, t := range topics {
		w, g := want[t], got[t]
		if len(w) != len(g) {
			say("%s: %d records, want %d", t, len(g), len(w))
			bad += max(0, len(w)-len(g))
		}
		for i := range min(len(w), len(g)) {
			if meets(w[i], g[i]) {
				continue
			}
			bad++
			if texts, ok := strings.CutPrefix(w[i], expectation); ok {
				say("%s #%d is to hold %q: %.3000s", t, i, strings.Split(texts, expectation), g[i])
				continue
			}
			wl, gl := strings.Split(w[i], "\n"), strings.Split(g[i], "\n")
			for j := range min(len(wl), len(gl)) {
				if wl[j] != gl[j] {
					say("%s #%d %s", t, i, around(wl[j], gl[j], most))
				}
			}
		}
	}
	for t, g := range got {
		if _, ok := want[t]; !ok {
			say("%s: %d records that nobody asked for", t, len(g))
		}
		for i := len(want[t]); i < len(g); i++ {
			bad++
			say("%s #%d is not in the recording: %.600s", t, i, payload(g[i]))
		}
	}
	return bad, out
}

// payload is the value of a record without its schema.
func payload(record string) string {
	_, value, _ := strings.Cut(record, "\nvalue=")
	if _, p, ok := strings.Cut(value, `,"payload":`); ok {
		return p
	}
	return value
}

// around shows where two lines differ: the fields, and the bytes around the first difference.
func around(want, got string, most int) string {
	name, _, _ := strings.Cut(want, "=")
	p := 0
	for p < min(len(want), len(got)) && want[p] == got[p] {
		p++
	}
	from := max(0, p-60)
	return fmt.Sprintf("%s%s\n    from byte %d on\n    want …%.200s\n    got  …%.200s", name, paths(want, got, most), from, want[from:], got[min(from, len(got)):])
}

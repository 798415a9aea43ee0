package conformance

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
)

// Exception is a place where Debezium writes a value that the database does not hold, dies of something that the server accepts, or tells of what did not
// happen, and rowmesh is right. Which one it is says which of theirs, more and drop is set.
type Exception struct {
	Case   string `json:"case"`
	Engine string `json:"engine,omitempty"` // empty: both
	Topic  string `json:"topic"`
	// Records are the places of the records in the recording's topic that theirs and drop are of; with theirs and none, all that hold it.
	Records []int  `json:"records,omitempty"`
	Field   string `json:"field,omitempty"`
	Theirs  string `json:"theirs,omitempty"` // text in the recording
	Ours    string `json:"ours,omitempty"`   // what we write in its place
	// Drop: we do not write these records.
	Drop bool `json:"drop,omitempty"`
	// Behind is the record behind which we write the one of records.
	Behind int `json:"behind,omitempty"`
	// More are the records that we write behind the recording's last one, each by texts that it holds.
	More [][]string `json:"more,omitempty"`
	// Maybe are records that we write or do not, each by texts that it holds: rows that can be read if the server is asked about their table in time.
	Maybe [][]string `json:"maybe,omitempty"`
	Why   string     `json:"why"`
}

func exceptions(file string) ([]Exception, error) {
	var out []Exception
	b, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(b, &out)
	}
	return out, err
}

// expectation marks a record of which only some texts are known: it is followed by them.
const expectation = "\x00"

// dropped marks a record of the recording that we do not write.
const dropped = "\x01"

// apply puts what we write into a recording. An exception that fits nothing is an error: the list must not outlive its reasons.
func (e Exception) apply(s stream) error {
	at := e.Topic + "/0"
	for _, texts := range e.More {
		s[at] = append(s[at], expectation+strings.Join(texts, expectation))
	}
	recs := s[at]
	places := e.Records
	for i := range recs {
		if len(e.Records) == 0 && e.Theirs != "" && strings.Contains(recs[i], e.Theirs) {
			places = append(places, i)
		}
	}
	if len(places) == 0 && len(e.More) == 0 && len(e.Maybe) == 0 {
		return fmt.Errorf("exception %s %s: no record holds %s", e.Case, e.Topic, e.Theirs)
	}
	for _, i := range places {
		if i >= len(recs) || !strings.Contains(recs[i], e.Theirs) {
			return fmt.Errorf("exception %s %s #%d: the recording does not hold %s", e.Case, e.Topic, i, e.Theirs)
		}
		if e.Drop {
			recs[i] = dropped
			continue
		}
		if e.Behind > i && e.Behind < len(recs) {
			late := recs[i]
			copy(recs[i:e.Behind], recs[i+1:e.Behind+1])
			recs[e.Behind] = late
			continue
		}
		recs[i] = strings.ReplaceAll(recs[i], e.Theirs, e.Ours)
	}
	return nil
}

// On says whether it is one of an engine.
func (e Exception) On(engine string) bool { return e.Engine == "" || e.Engine == engine }

// unsure takes what may have come or not out of what has come.
func unsure(all []Exception, name, engine string, got stream) {
	for _, e := range all {
		if e.Case != name || !e.On(engine) {
			continue
		}
		at := e.Topic + "/0"
		for _, texts := range e.Maybe {
			if i := slices.IndexFunc(got[at], func(r string) bool { return meets(expectation+strings.Join(texts, expectation), r) }); i >= 0 {
				got[at] = slices.Delete(got[at], i, i+1)
			}
		}
	}
}

// except applies all exceptions of a case.
func except(all []Exception, name, engine string, s stream) error {
	for _, e := range all {
		if e.Case == name && e.On(engine) {
			if err := e.apply(s); err != nil {
				return err
			}
		}
	}
	for at, recs := range s {
		s[at] = slices.DeleteFunc(recs, func(r string) bool { return r == dropped })
	}
	return nil
}

// meets says whether a record is the one wanted, or holds the texts that are wanted of it.
func meets(want, got string) bool {
	if !strings.HasPrefix(want, expectation) {
		return want == got
	}
	for text := range strings.SplitSeq(want[1:], expectation) {
		if !strings.Contains(got, text) {
			return false
		}
	}
	return true
}

package conformance

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
)

// Exception is a place where Debezium writes a value that the database does not hold, and rowmesh the one that it does.
type Exception struct {
	Case    string `json:"case"`
	Engine  string `json:"engine"` // empty: both
	Topic   string `json:"topic"`
	Records []int  `json:"records"` // offsets among the topic's records
	Field   string `json:"field"`
	Theirs  string `json:"theirs"` // text in the recording
	Ours    string `json:"ours"`
	Why     string `json:"why"`
}

func exceptions(file string) ([]Exception, error) {
	var out []Exception
	b, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(b, &out)
	}
	return out, err
}

// apply puts our values into a recording. An exception that fits nothing is an error: the list must not outlive its reasons.
func (e Exception) apply(s stream) error {
	recs := s[e.Topic+"/0"]
	for _, i := range e.Records {
		if i >= len(recs) || !strings.Contains(recs[i], e.Theirs) {
			return fmt.Errorf("exception %s %s #%d: the recording does not hold %s", e.Case, e.Topic, i, e.Theirs)
		}
		recs[i] = strings.ReplaceAll(recs[i], e.Theirs, e.Ours)
	}
	return nil
}

// except applies all exceptions of a case.
func except(all []Exception, name, engine string, s stream) error {
	for _, e := range all {
		if e.Case == name && slices.Contains([]string{"", engine}, e.Engine) {
			if err := e.apply(s); err != nil {
				return err
			}
		}
	}
	return nil
}

package binlog

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sessionQuery is the body of a QUERY event with status variables.
func sessionQuery(errorCode byte, status ...byte) []byte {
	b := []byte{7, 0, 0, 0, 0, 0, 0, 0, 2, errorCode, 0, byte(len(status)), 0}
	b = append(b, status...)
	return append(b, "db\x00drop table t"...)
}

func TestQuerySession(t *testing.T) {
	mode := []byte{statusSQLMode, 4, 0, 0x10, 0, 0, 0, 0, 0}
	charset := []byte{statusCharset, 8, 0, 8, 0, 255, 0}
	for name, tt := range map[string]struct {
		body []byte
		want Session
	}{
		"nothing":      {sessionQuery(0), Session{}},
		"failed":       {sessionQuery(42, mode...), Session{SQLMode: 0x100004, ErrorCode: 42}},
		"any order":    {sessionQuery(0, append(append([]byte{statusExplicitTimestamp, 1}, charset...), mode...)...), Session{SQLMode: 0x100004, ServerCollation: 255, Timestamps: ExplicitTimestamps}},
		"databases":    {sessionQuery(0, append([]byte{statusUpdatedDatabases, 2, 'a', 0, 'b', 'c', 0}, statusExplicitTimestamp, 0)...), Session{Timestamps: ImplicitTimestamps}},
		"too many":     {sessionQuery(0, statusUpdatedDatabases, tooManyDatabases, statusExplicitTimestamp, 0), Session{Timestamps: ImplicitTimestamps}},
		"invoker":      {sessionQuery(0, statusInvoker, 1, 'u', 2, 'h', 'h', statusExplicitTimestamp, 1), Session{Timestamps: ExplicitTimestamps}},
		"unknown":      {sessionQuery(0, append([]byte{200}, mode...)...), Session{}},
		"cut short":    {sessionQuery(0, statusCharset, 8, 0), Session{}},
		"no name ends": {sessionQuery(0, statusUpdatedDatabases, 3, 'a'), Session{}},
	} {
		q, err := parseQuery(tt.body)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if d := cmp.Diff(tt.want, q.session); d != "" || string(q.sql) != "drop table t" || string(q.database) != "db" || q.thread != 7 {
			t.Errorf("%s: %q in %q by %d, session -want +got\n%s", name, q.sql, q.database, q.thread, d)
		}
	}
}

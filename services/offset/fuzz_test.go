package offset

import (
	"encoding/json"
	"testing"

	"github.com/rowmesh/rowmesh/services/errs"
)

// FuzzDecode reads any bytes as an offset: what can be read is written and read again as the same.
func FuzzDecode(f *testing.F) {
	for _, v := range []string{
		`{"ts_sec":1700000000,"file":"binlog.000001","pos":4,"gtids":"9130e191-e69b-11f1-9fe4-02fc00000001:1-5","row":1,"server_id":1,"event":2}`,
		`{"file":"b","pos":"4","snapshot":true}`, `{"file":"b","pos":1,"snapshot":"INITIAL","rowmesh":"1.7.CAE"}`, `{"file":"b","pos":1,"rowmesh":"2.7..e30"}`,
		`{"transaction_id":"x:1","transaction_data_collection_order_d.t":3,"file":"b","pos":1}`, `{"file":1}`, `null`, `[]`, `{"pos":-1}`,
	} {
		f.Add([]byte(v))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		Public(value)
		o, err := Decode(value)
		if err != nil {
			if errs.KindOf(err) != errs.Corrupt {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		written := o.Append(nil)
		if !json.Valid(written) {
			t.Fatalf("%q becomes %q, which is no JSON", value, written)
		}
		again, err := Decode(written)
		if err != nil || !o.Equal(&again) {
			t.Fatalf("%q becomes %q: %v, %+v", value, written, err, again)
		}
		o.Resume()
	})
}

// FuzzKey reads any bytes as a record's key.
func FuzzKey(f *testing.F) {
	f.Add([]byte(`["inventory",{"server":"p"}]`))
	f.Add([]byte(`["inventory"]`))
	f.Add([]byte(`[1,2]`))
	f.Fuzz(func(t *testing.T, key []byte) {
		if connector, partition, ok := splitKey(key); ok {
			if _, err := ConnectorKey(connector, partition); err != nil {
				t.Errorf("%q: %v", key, err)
			}
		}
		Partition(key, 25)
	})
}

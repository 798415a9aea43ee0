package converter

import "testing"

// FuzzRegistrySchema: whatever text a registry gives, reading it ends without a panic, and values are written by it or refused.
func FuzzRegistrySchema(f *testing.F) {
	for _, text := range []string{
		`"int"`, `["null",{"type":"record","name":"P","fields":[{"name":"a","type":"long"},{"name":"next","type":["null","P"]}]}]`, `{"type":"array","items":{"type":"map","values":"string"}}`,
		`{"type":{"type":{"type":"record","name":"x.P","namespace":"y","fields":[{"name":"b","type":"int","default":1}]}}}`, `{"type":"record"}`, `[]`, `{"type":"fixed","name":"F","size":4}`, `{`, ``,
	} {
		f.Add(text)
	}
	s := person("a", "b?")
	d := numbers(s, 1, 2)
	format := &avro{avroOptions{metaData: true}}
	own, err := format.compile(s)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := format.reads(s, own, text)
		if err != nil {
			return
		}
		if _, err := p.write(nil, d.Value); err != nil {
			t.Logf("refused: %v", err)
		}
	})
}

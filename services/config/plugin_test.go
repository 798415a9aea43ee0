package config

import (
	"strings"
	"testing"
)

// TestTransformsAreChecked: transforms are taken, and those that cannot be are refused with what to do.
func TestTransformsAreChecked(t *testing.T) {
	for _, c := range []struct {
		changes []string
		want    string // empty: taken
	}{
		{[]string{"transforms=u", "transforms.u.type=io.debezium.transforms.ExtractNewRecordState", "transforms.u.add.fields=op"}, ""},
		{[]string{"transforms=r", "transforms.r.type=org.apache.kafka.connect.transforms.RegexRouter", "transforms.r.regex=(", "transforms.r.replacement=x"}, "Invalid regex"},
		{[]string{"transforms=f", "transforms.f.type=io.debezium.transforms.Filter", "transforms.f.language=cel", "transforms.f.condition=true"}, ""},
		{[]string{"transforms=f", "transforms.f.type=io.debezium.transforms.Filter", "transforms.f.language=jsr223.groovy", "transforms.f.condition=true"},
			"set it to cel and write the expression in the Common Expression Language"},
		{[]string{"transforms=s", "transforms.s.type=io.debezium.connector.jdbc.transforms.FieldNameTransformation"}, "it is for sinks"},
		{[]string{"transforms=m", "transforms.m.type=io.debezium.connector.mongodb.transforms.ExtractNewDocumentState"}, "use io.debezium.transforms.ExtractNewRecordState"},
		{[]string{"transforms=x", "transforms.x.type=com.example.Own"}, "Class com.example.Own could not be found."},
	} {
		_, res := Parse("c", with(c.changes...))
		got := strings.Join(texts(res.Errors), "\n")
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%v: %s", c.changes, got)
		}
	}
}

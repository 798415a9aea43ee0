package config

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestProperties reads what java.util.Properties reads so.
func TestProperties(t *testing.T) {
	got := Properties("# comment\n! another\n\n a = 1\r\nb:2\nc 3\nd=x\\\n   y\ne\\=f=g=h\nempty\nu=\\u00e9\\t\\\\\nend=a\\\\\nlast=\\")
	want := []Property{{"a", "1"}, {"b", "2"}, {"c", "3"}, {"d", "xy"}, {"e=f", "g=h"}, {"empty", ""}, {"u", "é\t\\"}, {"end", "a\\"}, {"last", "\\"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

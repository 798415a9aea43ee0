package conformance

import (
	"os"
	"testing"
)

func TestDifferencesPageIsCurrent(t *testing.T) {
	want, err := Differences("testdata/allow.json")
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("DIFFERENCES.md")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("DIFFERENCES.md is not what testdata/allow.json says: run go generate ./integration/conformance")
	}
}

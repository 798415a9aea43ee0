package config

import (
	"os"
	"strings"
	"testing"
)

func TestPageIsCurrent(t *testing.T) {
	got, err := os.ReadFile("OPTIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != Page() {
		t.Error("OPTIONS.md is not what the registry says: run go generate ./services/config")
	}
}

// Every option says what it is for, and one that has no effect what is instead.
func TestOptionsAreExplained(t *testing.T) {
	for _, f := range []Flavor{MySQL, MariaDB} {
		for _, o := range AllOptions(f) {
			if o.Doc == "" {
				t.Errorf("%s has no documentation", o.Name)
			}
			switch o.Use {
			case Honoured:
				if o.Next != "" {
					t.Errorf("%s is honoured, and says what is instead: %s", o.Name, o.Next)
				}
			case Accepted, Warned, Refused:
				if o.Next == "" || strings.HasSuffix(o.Next, ".") {
					t.Errorf("%s is %s and says of what is instead %q", o.Name, o.Use, o.Next)
				}
			default:
				t.Errorf("%s has the use %q", o.Name, o.Use)
			}
		}
	}
}

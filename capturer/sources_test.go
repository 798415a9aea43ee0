package capturer

import (
	"testing"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/gtid"
)

// What a server lacks or has purged of foreign sources is no reason not to go on there; of the others it stays one.
func TestForeignSources(t *testing.T) {
	const a, b = "aaaaaaaa-0000-0000-0000-000000000001", "bbbbbbbb-0000-0000-0000-000000000002"
	for name, c := range map[string]struct {
		flavor                       config.Flavor
		sources                      *capturev1.GtidSources
		seen, executed, purged, want string
	}{
		"missing":          {config.MySQL, &capturev1.GtidSources{Exclude: []string{"BBBB.*"}}, a + ":1-9," + b + ":1-5", a + ":1-20," + b + ":1-2", "", a + ":1-9," + b + ":1-2"},
		"purged":           {config.MySQL, &capturev1.GtidSources{Include: []string{a}}, a + ":1-9", a + ":1-20," + b + ":1-8", b + ":1-6", a + ":1-9," + b + ":1-6"},
		"with tags":        {config.MySQL, &capturev1.GtidSources{Exclude: []string{b}}, a + ":1-9," + b + ":red:1-5", a + ":1-20", "", a + ":1-9"},
		"of the others":    {config.MySQL, &capturev1.GtidSources{Exclude: []string{b}}, a + ":1-9", a + ":1-5", a + ":1-3", a + ":1-9"},
		"domain ahead":     {config.MariaDB, &capturev1.GtidSources{Exclude: []string{"1-.*"}}, "0-1-9,1-7-50", "0-1-20,1-8-30", "", "0-1-9,1-8-30"},
		"domain unknown":   {config.MariaDB, &capturev1.GtidSources{Include: []string{"0-1"}}, "0-1-9,1-7-50", "0-1-20", "", "0-1-9"},
		"domain behind":    {config.MariaDB, &capturev1.GtidSources{Exclude: []string{"1-.*"}}, "0-1-9,1-7-5", "0-1-20,1-8-30", "", "0-1-9,1-7-5"},
		"purged in domain": {config.MariaDB, &capturev1.GtidSources{Exclude: []string{"1-.*"}}, "0-1-9,1-7-5", "0-1-20,1-8-30", "0-1-2,1-7-8", "0-1-9,1-7-8"},
	} {
		set := func(text string) *gtid.Set {
			s, err := gtid.Parse(c.flavor, text)
			if err != nil {
				t.Fatalf("%s: %q: %v", name, text, err)
			}
			return s
		}
		f, err := newSources(c.sources)
		if err != nil {
			t.Fatal(err)
		}
		seen := set(c.seen)
		f.adapt(seen, set(c.executed), set(c.purged))
		if got := seen.String(); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	if f, err := newSources(&capturev1.GtidSources{}); f != nil || err != nil {
		t.Errorf("without lists: %v, %v", f, err)
	}
	if _, err := newSources(&capturev1.GtidSources{Include: []string{"("}}); errs.KindOf(err) != errs.Invalid {
		t.Errorf("no expression: %v", err)
	}
}

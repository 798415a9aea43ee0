package gtid

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rowmesh/rowmesh/services/config"
)

const (
	uuidA = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
	uuidB = "453a28ca-e69b-11f1-8913-02fc00000001"
)

func mustParse(t testing.TB, flavor config.Flavor, text string) *Set {
	t.Helper()
	s, err := Parse(flavor, text)
	if err != nil {
		t.Fatalf("Parse(%q): %v", text, err)
	}
	return s
}

func TestParseString(t *testing.T) {
	for _, c := range []struct {
		flavor   config.Flavor
		in, want string
	}{
		{config.MySQL, "", ""},
		{config.MySQL, " ,\n, ", ""},
		{config.MySQL, uuidA + ":1", uuidA + ":1"},
		{config.MySQL, uuidA + ":1-1", uuidA + ":1"},
		{config.MySQL, uuidB + ":1-5,\n" + uuidA + ":1-3:7", uuidA + ":1-3:7," + uuidB + ":1-5"},
		{config.MySQL, strings.ToUpper(uuidA) + " : 4 - 6 : 1-2:3 ", uuidA + ":1-6"},
		{config.MySQL, uuidA + ":5," + uuidA + ":1-4", uuidA + ":1-5"},
		{config.MySQL, uuidB + ":1-2184:app_1:1-2", uuidB + ":1-2184:app_1:1-2"},
		{config.MySQL, uuidB + ":zz:7:App_1:1-2:5," + uuidB + ":9", uuidB + ":9:app_1:1-2:5:zz:7"},
		{config.MySQL, uuidB + ":app:1-2," + uuidA + ":1", uuidA + ":1," + uuidB + ":app:1-2"},
		{config.MariaDB, "", ""},
		{config.MariaDB, "0-2-1174", "0-2-1174"},
		{config.MariaDB, "10-1-5, 2-3-4\n,0-1-270", "0-1-270,2-3-4,10-1-5"},
		{config.MariaDB, "0-1-270,0-2-300,0-3-12", "0-2-300"},
	} {
		s := mustParse(t, c.flavor, c.in)
		if got := s.String(); got != c.want {
			t.Errorf("Parse(%q) = %q, want %q", c.in, got, c.want)
		}
		if again := mustParse(t, c.flavor, s.String()); !again.Equal(s) {
			t.Errorf("Parse(%q) differs after a round trip: %q", c.in, again)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct {
		flavor config.Flavor
		in     string
	}{
		{config.MySQL, "x"},
		{config.MySQL, uuidA},
		{config.MySQL, uuidA + ":"},
		{config.MySQL, uuidA + ":0"},
		{config.MySQL, uuidA + ":5-1"},
		{config.MySQL, uuidA + ":1-9223372036854775807"},
		{config.MySQL, uuidA + ":1-99999999999999999999"},
		{config.MySQL, uuidA + ":a-b:1"},
		{config.MySQL, uuidA + ":1:" + strings.Repeat("a", 33) + ":1"},
		{config.MySQL, "0-1-2"},
		{config.MariaDB, "0-1"},
		{config.MariaDB, "0-1-0"},
		{config.MariaDB, "0-1-x"},
		{config.MariaDB, "4294967296-1-1"},
		{config.MariaDB, uuidA + ":1"},
	} {
		if s, err := Parse(c.flavor, c.in); err == nil {
			t.Errorf("Parse(%q) = %q, want an error", c.in, s)
		} else if !strings.Contains(err.Error(), strings.Split(c.in, ",")[0]) {
			t.Errorf("Parse(%q): error %q does not name the part", c.in, err)
		}
	}
}

func TestAddMySQL(t *testing.T) {
	s := New(config.MySQL)
	for _, g := range []uint64{5, 1, 2, 4, 9, 3, 3, 1} {
		if err := s.Add(uuidA, g); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Add(strings.ToUpper(uuidB)+":APP", 1); err != nil {
		t.Fatal(err)
	}
	if err := s.Add(uuidB+":app", 2); err != nil {
		t.Fatal(err)
	}
	if got, want := s.String(), uuidA+":1-5:9,"+uuidB+":app:1-2"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, c := range []struct {
		sid  string
		gno  uint64
		want bool
	}{{uuidA, 5, true}, {uuidA, 6, false}, {uuidA, 0, false}, {uuidB, 1, false}, {uuidB + ":app", 2, true}, {"nonsense", 1, false}} {
		if got := s.ContainsGTID(c.sid, c.gno); got != c.want {
			t.Errorf("ContainsGTID(%s, %d) = %v, want %v", c.sid, c.gno, got, c.want)
		}
	}
	for _, c := range []struct {
		sid string
		gno uint64
	}{{"nonsense", 1}, {uuidA, 0}, {uuidA, 1 << 63}, {"0-1", 1}} {
		before := s.String()
		if err := s.Add(c.sid, c.gno); err == nil {
			t.Errorf("Add(%s, %d) is accepted", c.sid, c.gno)
		}
		if got := s.String(); got != before {
			t.Errorf("Add(%s, %d) failed and changed the set to %q", c.sid, c.gno, got)
		}
	}
}

func TestAddMariaDB(t *testing.T) {
	s := New(config.MariaDB)
	for _, c := range []struct {
		sid  string
		gno  uint64
		want string
	}{
		{"0-1", 7, "0-1-7"},
		{"0-2", 8, "0-2-8"},
		{"3-1", 1, "0-2-8,3-1-1"},
		{"0-1", 5, "0-1-5,3-1-1"}, // not in strict mode: the log's last transaction is the position
		{"0-1", 6, "0-1-6,3-1-1"},
	} {
		if err := s.Add(c.sid, c.gno); err != nil {
			t.Fatal(err)
		}
		if got := s.String(); got != c.want {
			t.Errorf("after %s-%d: %q, want %q", c.sid, c.gno, got, c.want)
		}
	}
	for _, c := range []struct {
		sid  string
		gno  uint64
		want bool
	}{{"0-1", 6, true}, {"0-9", 6, true}, {"0-1", 7, false}, {"3-1", 1, true}, {"4-1", 1, false}} {
		if got := s.ContainsGTID(c.sid, c.gno); got != c.want {
			t.Errorf("ContainsGTID(%s, %d) = %v, want %v", c.sid, c.gno, got, c.want)
		}
	}
}

func TestAlgebraMariaDB(t *testing.T) {
	a, b := mustParse(t, config.MariaDB, "0-1-10,1-1-5,2-1-1"), mustParse(t, config.MariaDB, "0-2-8,1-2-9,7-1-1")
	if a.Contains(b) || b.Contains(a) || !a.Contains(mustParse(t, config.MariaDB, "0-3-10,2-2-1")) {
		t.Error("Contains must compare numbers per domain")
	}
	u := a.Clone()
	u.Union(b)
	if got, want := u.String(), "0-1-10,1-2-9,2-1-1,7-1-1"; got != want {
		t.Errorf("Union = %q, want %q", got, want)
	}
	a.Subtract(b)
	if got, want := a.String(), "0-1-10,2-1-1"; got != want {
		t.Errorf("Subtract = %q, want %q", got, want)
	}
}

func TestFlavorsDoNotMix(t *testing.T) {
	a, b := mustParse(t, config.MySQL, uuidA+":1"), mustParse(t, config.MariaDB, "0-1-1")
	if a.Contains(b) || b.Contains(a) || a.Equal(b) {
		t.Error("sets of different flavors must have nothing in common")
	}
	if !a.Contains(New(config.MariaDB)) || !New(config.MySQL).Equal(New(config.MariaDB)) {
		t.Error("an empty set has no flavor to speak of")
	}
}

// bits is the model of the property tests: a set over few sids and small numbers.
type bits map[string]map[uint64]bool

func randomSet(r *rand.Rand) (*Set, bits) {
	s, m := New(config.MySQL), bits{}
	for range r.IntN(40) {
		sid := []string{uuidA, uuidB, uuidB + ":app"}[r.IntN(3)]
		gno := 1 + r.Uint64N(25)
		if err := s.Add(sid, gno); err != nil {
			panic(err)
		}
		if m[sid] == nil {
			m[sid] = map[uint64]bool{}
		}
		m[sid][gno] = true
	}
	return s, m
}

func (m bits) matches(s *Set) error {
	for _, sid := range []string{uuidA, uuidB, uuidB + ":app"} {
		for gno := uint64(1); gno <= 26; gno++ {
			if got, want := s.ContainsGTID(sid, gno), m[sid][gno]; got != want {
				return fmt.Errorf("%s: contains %s:%d = %v, want %v", s, sid, gno, got, want)
			}
		}
	}
	return nil
}

func TestAlgebraAgainstModel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 500 {
		a, am := randomSet(r)
		b, bm := randomSet(r)
		if err := am.matches(a); err != nil {
			t.Fatal(err)
		}
		subset, union, rest := true, bits{}, bits{}
		for _, sid := range []string{uuidA, uuidB, uuidB + ":app"} {
			union[sid], rest[sid] = map[uint64]bool{}, map[uint64]bool{}
			for gno := uint64(1); gno <= 25; gno++ {
				subset = subset && (am[sid][gno] || !bm[sid][gno])
				union[sid][gno] = am[sid][gno] || bm[sid][gno]
				rest[sid][gno] = am[sid][gno] && !bm[sid][gno]
			}
		}
		if got := a.Contains(b); got != subset {
			t.Fatalf("%s contains %s = %v, want %v", a, b, got, subset)
		}
		u := a.Clone()
		u.Union(b)
		d := a.Clone()
		d.Subtract(b)
		if err := union.matches(u); err != nil {
			t.Fatalf("union of %s and %s: %v", a, b, err)
		}
		if err := rest.matches(d); err != nil {
			t.Fatalf("%s minus %s: %v", a, b, err)
		}
		d.Union(b)
		if !d.Equal(u) || !u.Contains(a) || !u.Contains(b) {
			t.Fatalf("a-b+b != a+b for %s and %s: %s, %s", a, b, d, u)
		}
		// The text is canonical: sets built in different ways print the same.
		if diff := cmp.Diff(u.String(), d.String()); diff != "" {
			t.Fatal(diff)
		}
		if again := mustParse(t, config.MySQL, u.String()); !again.Equal(u) {
			t.Fatalf("round trip of %s gives %s", u, again)
		}
	}
}

func TestCloneIsIndependent(t *testing.T) {
	a := mustParse(t, config.MySQL, uuidA+":1-5")
	c := a.Clone()
	_ = a.String()
	if err := c.Add(uuidA, 6); err != nil {
		t.Fatal(err)
	}
	if got, want := a.String()+" "+c.String(), uuidA+":1-5 "+uuidA+":1-6"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestHotPathDoesNotAllocate(t *testing.T) {
	s := mustParse(t, config.MySQL, uuidA+":1-5,"+uuidB+":1-7:app:1")
	var buf []byte
	gno := uint64(10)
	// The first rounds grow the buffers.
	step := func() {
		gno++
		_ = s.Add(uuidA, gno)
		_ = s.Add(uuidB+":app", gno)
		buf = s.AppendText(buf[:0])
	}
	for range 100 {
		step()
	}
	if n := testing.AllocsPerRun(100, step); n != 0 {
		t.Errorf("%v allocations per transaction, want 0", n)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(uuidB+":1-2184:app_1:1-2,"+uuidA+":1", true)
	f.Add("0-1-270,1-2-3", false)
	f.Fuzz(func(t *testing.T, text string, mysql bool) {
		flavor := config.MariaDB
		if mysql {
			flavor = config.MySQL
		}
		s, err := Parse(flavor, text)
		if err != nil {
			return
		}
		again, err := Parse(flavor, s.String())
		if err != nil || !again.Equal(s) {
			t.Fatalf("%q prints as %q, which reads as %v (%v)", text, s, again, err)
		}
	})
}

func BenchmarkAddAndText(b *testing.B) {
	s := mustParse(b, config.MySQL, uuidA+":1-5:9-11:20,"+uuidB+":1-7:app:1")
	var buf []byte
	b.ReportAllocs()
	for gno := uint64(100); b.Loop(); gno++ {
		_ = s.Add(uuidB, gno)
		buf = s.AppendText(buf[:0])
	}
}

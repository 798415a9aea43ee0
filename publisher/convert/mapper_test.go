package convert

import (
	"strings"
	"testing"

	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
)

// TestDigest: the sums were computed by Java, of the salt and an ObjectOutputStream's bytes.
func TestDigest(t *testing.T) {
	d, err := newDigest("SHA-256", "salt", false)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"":                         "5b3d6ca0412baec5bd29469bcf15b3d11a89841fb2aaed6509e63dd51531bbb0",
		"hash me":                  "9305f20d9ef2733758350ff9d6e097d97ec97a7de61869eb805dcabf7aa5dd65",
		"a\x00b":                   "bdc7f913ce6aff17f08342a233b29e3baeb2bab699ae7dd8acdb7d2dddf810ff",
		"é漢😀":                      "63ac2e2e7d8263e34ee9ef4c8d547b1780b05a411c279daa8f37ebfeb9cc623c",
		strings.Repeat("x", 70000): "7fab0c0461220b8c55bbb93baf32883ff3a4680ded26e5063b3e5aa09c98a713",
	} {
		if got := string(d.append(nil, []byte(text))); got != want {
			t.Errorf("%.20q: got %s, want %s", text, got, want)
		}
	}
}

func TestAllowedAlgorithmsAreKnown(t *testing.T) {
	for _, name := range config.HashAlgorithms() {
		if _, err := newDigest(name, "salt", false); err != nil {
			t.Error(err)
		}
	}
}

func TestTruncate(t *testing.T) {
	for _, c := range []struct {
		text string
		n    int
		want string
	}{{"abc", 2, "ab"}, {"abc", 3, "abc"}, {"abc", 9, "abc"}, {"", 3, ""}, {"é漢字", 2, "é漢"}, {"a😀b", 3, "a😀"}, {"a😀b", 2, "a😀"}, {"😀😀😀", 3, "😀😀😀"}, {"abc", 0, ""}} {
		if got := string(truncate([]byte(c.text), c.n)); got != c.want {
			t.Errorf("%q to %d: got %q, want %q", c.text, c.n, got, c.want)
		}
	}
}

func TestMapperOptions(t *testing.T) {
	for option, list := range map[string]string{
		"column.mask.hash.ROT13.with.salt.x": "a.b.c", "column.truncate.to.5.chars": "(", "datatype.propagate.source.type": "[",
	} {
		cfg := testConfig("p")
		cfg.Raw = map[string]string{option: list}
		if _, err := New(cfg, Options{}); errs.KindOf(err) != errs.Invalid || !strings.Contains(err.Error(), option) {
			t.Errorf("%s: %v", option, err)
		}
	}
	// The first option in Debezium's order applies, whatever the order of the names.
	enc := newEncoder(t, func(c *config.Connector) {
		c.Raw = map[string]string{"column.mask.hash.MD5.with.salt.x": ".*note", "column.mask.with.3.chars": ".*", "column.truncate.to.1.chars": "db.t.NOTE"}
	})
	var out Output
	if err := enc.Batch(oneGroup('c', 0, 1, image(false, 1, "long", 5, 0)), &out); err != nil {
		t.Fatal(err)
	}
	if got, want := shapes(t, &out)[0], `p.db.t {"id":1} c null {"id":1,"note":"l","n":5,"at":0}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

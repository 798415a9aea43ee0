package jsontext

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestStringEscapes(t *testing.T) {
	for in, want := range map[string]string{
		"":                              `""`,
		"plain":                         `"plain"`,
		"12345678\"":                    `"12345678\""`,
		`a\b`:                           `"a\\b"`,
		"\x00\b\t\n\x0b\f\r\x1f\x7f":    `"\u0000\b\t\n\u000B\f\r\u001F` + "\x7f" + `"`,
		"slash / </script> & <>":        `"slash / </script> & <>"`,
		"\u2028\u2029\uffff é漢":         "\"\u2028\u2029\uffff é漢\"",
		"😀":                             `"\uD83D\uDE00"`,
		"seven..😀":                      `"seven..\uD83D\uDE00"`,
		"\U0010ffff":                    `"\uDBFF\uDFFF"`,
		"bad \xff\xc3 end":              "\"bad \ufffd\ufffd end\"",
		"\xed\xa0\x80":                  "\"\ufffd\ufffd\ufffd\"",
		strings.Repeat("x", 100) + "\\": `"` + strings.Repeat("x", 100) + `\\"`,
	} {
		if got := string(AppendString(nil, in)); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
		if got := string(AppendString(nil, []byte(in))); got != want {
			t.Errorf("bytes of %q: got %s, want %s", in, got, want)
		}
	}
}

// TestStringRandom decodes what was written with encoding/json.
func TestStringRandom(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	alphabet := []string{"a", "0123456", "\"", "\\", "\n", "\x01", "é", "漢", "😀", " ", "\x7f", "\u2028"}
	for range 2000 {
		var in strings.Builder
		for range r.IntN(30) {
			in.WriteString(alphabet[r.IntN(len(alphabet))])
		}
		text := AppendString(nil, in.String())
		var out string
		if err := json.Unmarshal(text, &out); err != nil || out != in.String() {
			t.Fatalf("%q became %s, which reads as %q (%v)", in.String(), text, out, err)
		}
	}
}

// FuzzString: whatever the bytes, the result is a JSON string of them as UTF-8.
func FuzzString(f *testing.F) {
	f.Add([]byte("a\"b\\c\x00\xff😀"))
	f.Fuzz(func(t *testing.T, in []byte) {
		text := AppendString(nil, in)
		var out string
		if err := json.Unmarshal(text, &out); err != nil {
			t.Fatalf("%q became %s: %v", in, text, err)
		}
		if utf8.Valid(in) && out != string(in) {
			t.Fatalf("%q became %q", in, out)
		}
	})
}

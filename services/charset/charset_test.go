package charset

import (
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-mysql-org/go-mysql/client"
)

func TestDecoder(t *testing.T) {
	for _, c := range []struct{ cs, bytes, want string }{
		{"latin1", "61e480819d", "aä€\u0081\u009d"},
		{"LATIN1", "e4", "ä"},
		{"latin1_swedish_ci", "e4", "ä"},
		{"latin2", "b1", "ą"},
		{"cp1251", "cff0e8", "При"},
		{"koi8r", "f0", "П"},
		{"hp8", "a1", "À"},
		{"keybcs2", "80", "Č"},
		{"ascii", "6180", "a\ufffd"},
		{"ucs2", "006120ac", "a€"},
		{"ucs2", "0061ff", "a\ufffd"},
		{"ucs2", "d83d", "\ufffd"},
		{"utf16", "d83dde000061", "😀a"},
		{"utf16", "d83d0061", "\ufffda"},
		{"utf16le", "3dd800de", "😀"},
		{"utf32", "0001f600ffffffff", "😀\ufffd"},
		{"sjis", "8abf8e9ab15c815f", "漢字ｱ\\\\"},
		{"cp932", "f040fbfc8754", "\ue000髙Ⅰ"},
		{"ujis", "b4c18fb0a1", "漢丂"},
		{"euckr", "b0a161", "가a"},
		{"gb2312", "a1a4", "・"},
		{"gbk", "9d68d7d661", "漢字a"},
		{"gb18030", "a14061", "\ue4c6a"},
		{"big5", "a4a461", "中a"},
		{"swe7", "405b61", "ÉÄa"},
	} {
		src, err := hex.DecodeString(c.bytes)
		if err != nil {
			t.Fatal(err)
		}
		dec, ok := Decoder(c.cs)
		if !ok {
			t.Errorf("%s is unknown", c.cs)
			continue
		}
		got := string(dec([]byte("x"), src))
		if got != "x"+c.want {
			t.Errorf("%s %s: got %q, want %q behind x", c.cs, c.bytes, got, c.want)
		}
	}
}

func TestUnicodeNeedsNoDecoder(t *testing.T) {
	for _, cs := range []string{"utf8", "utf8mb3", "utf8mb4", "UTF8MB4", "utf8mb4_0900_ai_ci", "binary"} {
		if dec, ok := Decoder(cs); !ok || dec != nil {
			t.Errorf("%s: known %t, decoder %t; want known without", cs, ok, dec != nil)
		}
	}
	if _, ok := Decoder("klingon"); ok {
		t.Error("klingon is known")
	}
}

func TestByCollation(t *testing.T) {
	for id, want := range map[uint16]string{8: "latin1_swedish_ci latin1", 33: "utf8mb3_general_ci utf8mb3", 45: "utf8mb4_general_ci utf8mb4", 63: "binary binary",
		255: "utf8mb4_0900_ai_ci utf8mb4", 2304: "utf8mb4_uca1400_ai_ci utf8mb4"} {
		name, cs, ok := ByCollation(id)
		if !ok || name+" "+cs != want {
			t.Errorf("%d: got %s %s, want %s", id, name, cs, want)
		}
	}
	if MaxBytes("utf8") != 3 || MaxBytes("latin1") != 1 || MaxBytes("klingon") != 0 {
		t.Error("bytes of a character")
	}
}

// Every character set decodes any bytes to valid UTF-8 without panic.
func FuzzDecoder(f *testing.F) {
	f.Add([]byte("a\x81\x40\x8f\xa1\xa1\xfe\x30\x81\x30"))
	var all []Func
	for cs := range info {
		if dec, ok := Decoder(cs); !ok {
			f.Fatalf("%s has no decoder", cs)
		} else if dec != nil {
			all = append(all, dec)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, dec := range all {
			if out := dec(nil, b); !utf8.Valid(out) {
				t.Errorf("%x gives %x", b, out)
			}
		}
	})
}

// Every one- and two-byte code, and the three-byte ones of the EUC forms, reads as the server reads it.
func TestAgainstMySQL(t *testing.T) {
	addr := os.Getenv("ROWMESH_TEST_MYSQL")
	if addr == "" || testing.Short() {
		t.Skip("needs a real server: set ROWMESH_TEST_MYSQL=host:port and leave out -short")
	}
	c, err := client.Connect(addr, "root", "", "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Execute("set sql_mode=''"); err != nil {
		t.Fatal(err)
	}
	for _, cs := range []string{"sjis", "cp932", "ujis", "eucjpms", "euckr", "gb2312", "gbk", "gb18030", "big5", "latin1", "koi8r", "hp8", "swe7", "macce"} {
		compareAll(t, c, cs)
	}
}

func codes(cs string) [][]byte {
	var all [][]byte
	for a := 0x20; a < 0x100; a++ {
		if MaxBytes(cs) == 1 || a < 0x80 {
			all = append(all, []byte{byte(a)})
		}
	}
	if MaxBytes(cs) == 1 {
		return all
	}
	for a := 0x81; a < 0xff; a++ {
		if (cs == "sjis" || cs == "cp932") && a >= 0xa0 && a <= 0xdf {
			all = append(all, []byte{byte(a)})
			continue
		}
		for b := 0x40; b < 0xff; b++ {
			all = append(all, []byte{byte(a), byte(b)})
			if a >= 0xa1 && b >= 0xa1 && (cs == "ujis" || cs == "eucjpms") {
				all = append(all, []byte{0x8f, byte(a), byte(b)})
			}
		}
	}
	return all
}

func compareAll(t *testing.T, c *client.Conn, cs string) {
	t.Helper()
	dec, _ := Decoder(cs)
	all := codes(cs)
	valid, wrong := 0, 0
	const batch = 300
	for i := 0; i < len(all); i += batch {
		part := all[i:min(i+batch, len(all))]
		sql := make([]string, len(part))
		for j, code := range part {
			sql[j] = fmt.Sprintf("hex(convert(convert(x'%x' using %s) using utf8mb4))", code, cs)
		}
		r, err := c.Execute("select " + strings.Join(sql, ","))
		if err != nil {
			t.Fatal(err)
		}
		for j, code := range part {
			s, err := r.GetString(0, j)
			if err != nil {
				t.Fatal(err)
			}
			b, _ := hex.DecodeString(s)
			want := string(b)
			// No character, or one that the server cannot say in Unicode.
			if utf8.RuneCountInString(want) != 1 || want == "?" && code[0] != '?' || want == "\ufffd" {
				continue
			}
			valid++
			if got := string(dec(nil, code)); got != want {
				if wrong++; wrong < 5 {
					t.Errorf("%s %x: got %q, want %q", cs, code, got, want)
				}
			}
		}
		r.Close()
	}
	if valid < 90 {
		t.Errorf("%s: only %d codes compared", cs, valid)
	}
	t.Logf("%s: %d codes, %d wrong", cs, valid, wrong)
}

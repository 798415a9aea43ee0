package binlog

import (
	"net/netip"
	"testing"
)

// The texts are what MariaDB 11.8 answers for the addresses.
func TestInet6AsMariaDBSpellsIt(t *testing.T) {
	for address, want := range map[string]string{
		"::": "::", "::1": "::1", "::ffff": "::ffff", "::1.2.3.4": "::1.2.3.4", "::ffff:1.2.3.4": "::ffff:1.2.3.4", "2001:db8::": "2001:db8::",
		"2001:db8:0:1:1:1:1:1": "2001:db8::1:1:1:1:1", "1:0:0:2:0:0:0:3": "1:0:0:2::3", "1:0:0:2:0:0:3:4": "1::2:0:0:3:4", "fe80::1:0:0:1": "fe80::1:0:0:1",
		"1:2:3:4:5:6:7:0": "1:2:3:4:5:6:7::", "0:2:3:4:5:6:7:8": "::2:3:4:5:6:7:8", "0:0:1:0:0:0:0:0": "0:0:1::", "abcd:ef01:2:3:4:5:6:7": "abcd:ef01:2:3:4:5:6:7",
	} {
		if got := string(appendInet6(nil, netip.MustParseAddr(address).As16())); got != want {
			t.Errorf("%s: got %s, want %s", address, got, want)
		}
	}
}

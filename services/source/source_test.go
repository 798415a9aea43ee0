package source

import (
	"context"
	"errors"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
)

func TestConfig(t *testing.T) {
	c := FromConnector(&config.Connector{Hostname: "DB.Example", Port: 3307, User: "u", Password: "p", SSLMode: "VERIFY_CA"})
	if got, want := string(c.ID()), "db.example:3307"; got != want {
		t.Errorf("ID() = %q, want %q", got, want)
	}
	if c.TLS != TLSVerifyCA {
		t.Errorf("TLS = %q", c.TLS)
	}
	for addr, want := range map[string]string{"db": "db:3306", "::1": "[::1]:3306", "[::1]:7": "[::1]:7"} {
		if got := string((Config{Addr: addr}).ID()); got != want {
			t.Errorf("ID of %q = %q, want %q", addr, got, want)
		}
	}
}

func TestTLSConfig(t *testing.T) {
	bad := t.TempDir() + "/ca.pem"
	if err := os.WriteFile(bad, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []Config{{TLS: "sometimes"}, {TLS: TLSVerifyCA, CAFile: bad}, {TLS: TLSVerifyIdentity, CAFile: bad + ".missing"}} {
		if _, err := c.TLSConfig(); errs.KindOf(err) != errs.Invalid {
			t.Errorf("TLSConfig(%+v): %v, want Invalid", c, err)
		}
	}
	if tc, err := (Config{TLS: TLSDisabled}).TLSConfig(); tc != nil || err != nil {
		t.Errorf("disabled: %v, %v", tc, err)
	}
	tc, err := (Config{Addr: "h:1", TLS: TLSVerifyIdentity}).TLSConfig()
	if err != nil || tc.InsecureSkipVerify || tc.ServerName != "h" {
		t.Errorf("verify_identity: %+v, %v", tc, err)
	}
}

func TestQuote(t *testing.T) {
	if got, want := QuoteTable("a`b", "c"), "`a``b`.`c`"; got != want {
		t.Errorf("QuoteTable = %s, want %s", got, want)
	}
	if got, want := QuoteText(`a'b\`), `'a''b\\'`; got != want {
		t.Errorf("QuoteText = %s, want %s", got, want)
	}
}

func TestConnectErrors(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close() // accepts in the kernel and says nothing
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	tests := []struct {
		addr string
		text []string
	}{
		{"no-such-host.invalid:3306", []string{"no-such-host.invalid", "database.hostname"}},
		{closed.Addr().String(), []string{closed.Addr().String(), "database.port", `"me"`}},
		{silent.Addr().String(), []string{"connect.timeout.ms", "no answer within 100ms"}},
	}
	for _, tt := range tests {
		_, err := Connect(t.Context(), Config{Addr: tt.addr, User: "me", ConnectTimeout: 100 * time.Millisecond})
		if errs.KindOf(err) != errs.Unavailable {
			t.Errorf("%s: %v is %s, want Unavailable", tt.addr, err, errs.KindOf(err))
		}
		for _, want := range tt.text {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v does not name %s", tt.addr, err, want)
			}
		}
	}
}

func TestCell(t *testing.T) {
	long := strings.Repeat("x", 300)
	raw := append([]byte{1, 'a', 0xfb, 0, 0xfc, 0x2c, 0x01}, long...)
	want := []string{"a", "NULL", "", long}
	var got []string
	p := raw
	for range want {
		cell, rest, ok := Cell(p)
		if !ok {
			t.Fatal("not a row")
		}
		if cell == nil {
			got = append(got, "NULL")
		} else {
			got = append(got, string(cell))
		}
		p = rest
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	// No truncation of it panics.
	for n := range raw {
		for p := raw[:n]; ; {
			_, rest, ok := Cell(p)
			if !ok {
				break
			}
			p = rest
		}
	}
	for _, hostile := range [][]byte{{0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, {0xfd, 1}, {0xff}} {
		if _, _, ok := Cell(hostile); ok {
			t.Errorf("Cell(%x) is a cell", hostile)
		}
	}
}

func TestVersionNumbers(t *testing.T) {
	for v, want := range map[string]int{"8.0.36-28": 80036, "11.8.9-MariaDB-4 from Debian-log": 110809, "9.7": 90700, "": 0, "x": 0} {
		n := versionNumbers(v)
		if got := (Info{Major: n[0], Minor: n[1], Patch: n[2]}).Number(); got != want {
			t.Errorf("%q is %d, want %d", v, got, want)
		}
	}
}

func TestGrants(t *testing.T) {
	g := grants{account: "u@h", global: map[string]bool{}, local: map[string]bool{}}
	for _, line := range []string{
		"GRANT REPLICATION SLAVE, BINLOG MONITOR ON *.* TO `u`@`h`", "GRANT SELECT (`a`, `b`), INSERT ON `d`.`t` TO `u`@`h`", "GRANT `role`@`%` TO `u`@`h`",
		"REVOKE SELECT ON `mysql`.* FROM `u`@`h`",
	} {
		g.add(line)
	}
	if !g.has("REPLICATION SLAVE") || g.has("SELECT") || !g.hasSome("SELECT") || g.hasSome("RELOAD") {
		t.Errorf("%+v", g)
	}
	if got, want := grantee("a@b@%"), "'a@b'@'%'"; got != want {
		t.Errorf("grantee = %s, want %s", got, want)
	}
	g.add("GRANT ALL PRIVILEGES ON *.* TO `u`@`h` WITH GRANT OPTION")
	if !g.has("RELOAD") {
		t.Error("ALL PRIVILEGES is not all")
	}
}

func TestCheckLog(t *testing.T) {
	tests := []struct {
		info  Info
		texts []string // of each problem, in order
	}{
		{Info{Flavor: config.MySQL}, []string{"log_bin=OFF"}},
		{Info{Flavor: config.MySQL, LogBin: true, BinlogFormat: "STATEMENT", RowImage: "MINIMAL", RowValueOptions: "PARTIAL_JSON", GTIDMode: "OFF"},
			[]string{"SET GLOBAL binlog_format='ROW'", "binlog_row_image is MINIMAL", "PARTIAL_JSON", "gtid_mode"}},
		{Info{Flavor: config.MariaDB, LogBin: true, BinlogFormat: "ROW", RowImage: "FULL", GTIDMode: "ON"}, nil},
	}
	for _, tt := range tests {
		got := checkLog(tt.info)
		if len(got) != len(tt.texts) {
			t.Fatalf("%+v: %+v", tt.info, got)
		}
		for i, want := range tt.texts {
			if !strings.Contains(got[i].Text, want) {
				t.Errorf("problem %q does not say %q", got[i].Text, want)
			}
		}
	}
}

// server returns the address of a real server for this test.
func server(t testing.TB, variable string) string {
	t.Helper()
	addr := os.Getenv(variable)
	if testing.Short() || addr == "" {
		t.Skipf("needs a real server: %s is not set, or -short is", variable)
	}
	return addr
}

var servers = []string{"ROWMESH_TEST_MYSQL", "ROWMESH_TEST_MYSQL80", "ROWMESH_TEST_MARIADB"}

func connect(t testing.TB, cfg Config) *Conn {
	t.Helper()
	c, err := Connect(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestRealServer(t *testing.T) {
	for _, v := range servers {
		t.Run(v, func(t *testing.T) {
			addr := server(t, v)
			c := connect(t, Config{Addr: addr, User: "root"})
			info, err := Describe(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			if info.ServerID == 0 || !info.LogBin || info.BinlogFormat != "ROW" || info.Charset == "" || info.Collation == "" || info.Major < 5 || info.TimeZone == "" {
				t.Errorf("%+v", info)
			}
			p, err := Head(t.Context(), c)
			if err != nil || p.File == "" || p.Pos < 4 {
				t.Fatalf("Head = %v, %v", p, err)
			}
			if info.Flavor == config.MySQL && p.ServerUuid != info.ServerUUID {
				t.Errorf("position of %q on server %q", p.ServerUuid, info.ServerUUID)
			}
			logs, err := BinaryLogs(t.Context(), c)
			if err != nil || len(logs) == 0 || logs[len(logs)-1].Name != p.File {
				t.Errorf("BinaryLogs = %v, %v; the head is in %s", logs, err, p.File)
			}
			problems, err := Check(t.Context(), c, Needs{Stream: true, Snapshot: true, Flavor: info.Flavor})
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range problems {
				if !p.Warning {
					t.Errorf("root misses %+v", p)
				}
			}
			if _, err := c.Query(t.Context(), "SELECT nonsense"); ErrorCode(err) != 1054 {
				t.Errorf("SELECT nonsense: %v", err)
			}
			// An error of the server leaves the session usable.
			res, err := c.Query(t.Context(), "SELECT REPEAT('x', 1000000) AS big, @@session.time_zone AS tz, NULL AS n")
			if err != nil {
				t.Fatal(err)
			}
			if len(res.Get(0, "big")) != 1000000 || res.Get(0, "tz") != "+00:00" || !res.Rows[0][2].Null {
				t.Errorf("big row: %d bytes, zone %q", len(res.Get(0, "big")), res.Get(0, "tz"))
			}
		})
	}
}

func TestRealServerLargePackets(t *testing.T) {
	for _, v := range servers {
		t.Run(v, func(t *testing.T) {
			c := connect(t, Config{Addr: server(t, v), User: "root"})
			// One byte around the sizes at which packets split, within the server's max_allowed_packet.
			for _, n := range []int{readBuffer - 10, readBuffer, maxPacket - 5, maxPacket - 4, maxPacket - 3, maxPacket + 100} {
				rows, err := c.Stream(t.Context(), "SELECT COUNT(*) FROM information_schema.SCHEMATA UNION ALL SELECT 'end'")
				if err != nil {
					t.Fatal(err)
				}
				for rows.Next() {
				}
				if err := rows.Close(); err != nil {
					t.Fatal(err)
				}
				res, err := c.Query(t.Context(), "SELECT CONCAT(REPEAT('a', "+strconv.Itoa(n/2)+"), REPEAT('b', "+strconv.Itoa(n-n/2)+")), 'tail'")
				if err != nil {
					t.Fatal(err)
				}
				if res.Rows[0][0].Null {
					t.Logf("%d bytes are more than max_allowed_packet", n)
					continue
				}
				if got := res.Rows[0][0].Text; len(got) != n || got[0] != 'a' || got[n-1] != 'b' || res.Rows[0][1].Text != "tail" {
					t.Errorf("%d bytes came as %d", n, len(got))
				}
			}
		})
	}
}

func TestRealServerCancel(t *testing.T) {
	c := connect(t, Config{Addr: server(t, "ROWMESH_TEST_MYSQL"), User: "root"})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	err := c.Exec(ctx, "SELECT SLEEP(30)")
	if errs.KindOf(err) != errs.Unavailable || !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 10*time.Second {
		t.Errorf("after %s: %v", time.Since(began), err)
	}
	if err := c.Exec(t.Context(), "SELECT 1"); err == nil {
		t.Error("the session is usable in the middle of a statement")
	}
}

// A statement that takes longer than database.query.timeout.ms until its first row ends with an error that names the option. What comes behind the first row may take
// as long as it needs.
func TestRealServerQueryTimeout(t *testing.T) {
	cfg := Config{Addr: server(t, "ROWMESH_TEST_MYSQL"), User: "root", QueryTimeout: 300 * time.Millisecond}
	c := connect(t, cfg)
	if _, err := c.Query(t.Context(), "SELECT 1"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Query(t.Context(), "SELECT SLEEP(60)"); errs.KindOf(err) != errs.Unavailable || !strings.Contains(err.Error(), "database.query.timeout.ms") {
		t.Errorf("error %v", err)
	}
	if _, err := c.Query(t.Context(), "SELECT 1"); err == nil {
		t.Error("the session that was given up is used again")
	}
	cfg.QueryTimeout = 0
	if _, err := connect(t, cfg).Query(t.Context(), "SELECT SLEEP(0.5)"); err != nil {
		t.Errorf("without a limit: %v", err)
	}
}

func TestRealServerTLS(t *testing.T) {
	addr := server(t, "ROWMESH_TEST_MYSQL")
	for mode, encrypted := range map[TLSMode]bool{TLSDisabled: false, TLSPreferred: true, TLSRequired: true} {
		c := connect(t, Config{Addr: addr, User: "root", TLS: mode})
		if c.Encrypted() != encrypted {
			t.Errorf("%s: encrypted is %v", mode, c.Encrypted())
		}
		res, err := c.Query(t.Context(), "SHOW STATUS LIKE 'Ssl_cipher'")
		if err != nil || (res.Rows[0][1].Text != "") != encrypted {
			t.Errorf("%s: %v, %v", mode, res, err)
		}
	}
	for _, mode := range []TLSMode{TLSVerifyCA, TLSVerifyIdentity} {
		_, err := Connect(t.Context(), Config{Addr: addr, User: "root", TLS: mode})
		if errs.KindOf(err) != errs.Denied || !strings.Contains(err.Error(), "database.ssl.mode=") {
			t.Errorf("%s with an unknown authority: %v", mode, err)
		}
	}
}

func TestRealServerVerifiesCA(t *testing.T) {
	addr := server(t, "ROWMESH_TEST_MYSQL")
	c := connect(t, Config{Addr: addr, User: "root"})
	res, err := c.Query(t.Context(), "SELECT CONCAT(@@datadir, @@ssl_ca) AS ca")
	if err != nil {
		t.Fatal(err)
	}
	ca := res.Get(0, "ca")
	if _, err := os.Stat(ca); err != nil {
		t.Skipf("the server's authority is not readable here: %v", err)
	}
	connect(t, Config{Addr: addr, User: "root", TLS: TLSVerifyCA, CAFile: ca})
	// Its own certificate names no host.
	if _, err := Connect(t.Context(), Config{Addr: addr, User: "root", TLS: TLSVerifyIdentity, CAFile: ca}); errs.KindOf(err) != errs.Denied {
		t.Errorf("verify_identity: %v", err)
	}
}

func TestRealServerDenied(t *testing.T) {
	for _, v := range servers {
		t.Run(v, func(t *testing.T) {
			addr := server(t, v)
			_, err := Connect(t.Context(), Config{Addr: addr, User: "nobody", Password: "wrong"})
			if errs.KindOf(err) != errs.Denied || !strings.Contains(err.Error(), addr) || !strings.Contains(err.Error(), "database.password") {
				t.Errorf("wrong password: %v", err)
			}
			root := connect(t, Config{Addr: addr, User: "root"})
			exec := func(sql string) {
				t.Helper()
				if err := root.Exec(t.Context(), sql); err != nil {
					t.Fatal(err)
				}
			}
			exec("DROP USER IF EXISTS source_poor, source_role")
			exec("CREATE USER source_poor IDENTIFIED BY 'pw'")
			t.Cleanup(func() { root.Exec(context.Background(), "DROP USER source_poor") })
			poor := connect(t, Config{Addr: addr, User: "source_poor", Password: "pw"})
			problems, err := Check(t.Context(), poor, Needs{Stream: true, Snapshot: true})
			if err != nil {
				t.Fatal(err)
			}
			var all []string
			for _, p := range problems {
				if p.Option == "database.user" {
					all = append(all, p.Text)
				}
			}
			text := strings.Join(all, "\n")
			for _, want := range []string{"GRANT REPLICATION SLAVE ON *.* TO 'source_poor'@'%'", "GRANT " + clientPrivilege(poor.Flavor()), "GRANT SELECT", "GRANT RELOAD"} {
				if !strings.Contains(text, want) {
					t.Errorf("the problems do not say %q:\n%s", want, text)
				}
			}
			if _, err := Head(t.Context(), poor); errs.KindOf(err) != errs.Denied || !strings.Contains(err.Error(), "GRANT") {
				t.Errorf("Head: %v", err)
			}
			// What a role gives counts, where there are roles.
			if info, err := Describe(t.Context(), root); err != nil || !info.AtLeast(8, 0) {
				return
			}
			exec("CREATE ROLE source_role")
			t.Cleanup(func() { root.Exec(context.Background(), "DROP ROLE source_role") })
			exec("GRANT SELECT, RELOAD, REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO source_role")
			exec("GRANT source_role TO source_poor")
			if poor.Flavor() == config.MariaDB {
				exec("SET DEFAULT ROLE source_role FOR source_poor")
			} else {
				exec("SET DEFAULT ROLE source_role TO source_poor")
			}
			poor = connect(t, Config{Addr: addr, User: "source_poor", Password: "pw"})
			if problems, err = Check(t.Context(), poor, Needs{Stream: true, Snapshot: true}); err != nil {
				t.Fatal(err)
			}
			for _, p := range problems {
				if p.Option == "database.user" {
					t.Errorf("with the role: %+v", p)
				}
			}
		})
	}
}

func TestRealServerUnreadResult(t *testing.T) {
	c := connect(t, Config{Addr: server(t, "ROWMESH_TEST_MYSQL"), User: "root"})
	rows, err := c.Stream(t.Context(), "SELECT 1 UNION ALL SELECT 2")
	if err != nil || !rows.Next() {
		t.Fatal(err)
	}
	if err := rows.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Exec(t.Context(), "SELECT 1"); errs.KindOf(err) == "" || err == nil {
		t.Errorf("a session with unread rows answers")
	}
}

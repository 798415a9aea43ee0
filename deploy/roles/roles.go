// Package roles lays out the processes of a mesh on one machine: which there are, with which arguments. The demo and the tests share it.
package roles

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/rowmesh/rowmesh/deploy/servers"
)

// Command is the first argument with which a program that embeds the roles runs one of them (see deploy/command).
const Command = "role"

// Options say what the mesh stands on and how large it is.
type Options struct {
	Dir                                 string // key and logs
	Etcd, Kafka                         string // endpoints, bootstrap servers
	REST                                int    // port of the first coordinator's REST API; 0: a free one
	Coordinators, Capturers, Publishers int
	// Extra are arguments for every member of a role.
	Extra map[string][]string
}

// Member is one process.
type Member struct {
	Name string // "publisher-2"
	Args []string
	REST string // base URL, coordinators only
	GRPC string // host:port
}

// Plan lays out the members. Ports are chosen now, so that a member that is started again has the same.
func Plan(o Options) ([]Member, error) {
	key, err := meshKey(filepath.Join(o.Dir, "mesh.key"))
	if err != nil {
		return nil, err
	}
	var members []Member
	for _, role := range []struct {
		name  string
		count int
	}{{"coordinator", o.Coordinators}, {"capturer", o.Capturers}, {"publisher", o.Publishers}} {
		for i := 1; i <= role.count; i++ {
			m, err := o.member(role.name, i, key)
			if err != nil {
				return nil, err
			}
			members = append(members, m)
		}
	}
	return members, nil
}

func (o Options) member(role string, i int, key string) (Member, error) {
	port, err := servers.FreePort()
	if err != nil {
		return Member{}, err
	}
	m := Member{Name: fmt.Sprintf("%s-%d", role, i), GRPC: fmt.Sprintf("127.0.0.1:%d", port)}
	m.Args = []string{role, "-id", m.Name, "-etcd", o.Etcd, "-listen", m.GRPC, "-key", key, "-http", "127.0.0.1:0"}
	if role != "capturer" {
		m.Args = append(m.Args, "-kafka", o.Kafka)
	}
	if role == "coordinator" {
		rest := o.REST
		if i > 1 || rest == 0 {
			if rest, err = servers.FreePort(); err != nil {
				return m, err
			}
		}
		m.REST = fmt.Sprintf("http://127.0.0.1:%d", rest)
		m.Args = append(m.Args, "-rest", fmt.Sprintf("127.0.0.1:%d", rest))
	}
	m.Args = append(m.Args, o.Extra[role]...)
	return m, nil
}

// meshKey makes the key that seals connector configs in etcd, once.
func meshKey(file string) (string, error) {
	if _, err := os.Stat(file); err == nil {
		return file, nil
	}
	key := make([]byte, 32) // AES-256
	rand.Read(key)
	return file, os.WriteFile(file, []byte(hex.EncodeToString(key)+"\n"), 0o600)
}

// Spawn starts the member as a process of program, with its log in dir.
func (m Member) Spawn(program, dir string) (*servers.Process, error) {
	argv := append([]string{program, Command}, m.Args...)
	return servers.Spawn(m.Name, dir, filepath.Join(dir, m.Name+".log"), nil, 2*time.Second, argv...) // 2 s: a Ctrl-C is to take less than five, servers included
}

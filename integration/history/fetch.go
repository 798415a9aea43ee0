package history

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/go-mysql-org/go-mysql/client"

	"github.com/rowmesh/rowmesh/deploy/servers"
)

// Fetch brings the log files of the server at addr, from the first that it has, and returns their paths in order. They come through mysqlbinlog of the server's own
// package, which asks for them as a replica does and verifies their checksums, into dir; where the package has none, the server's own files are read in place.
func Fetch(ctx context.Context, p *servers.Program, addr, dir string) ([]string, error) {
	names, data, err := logs(ctx, addr)
	if err != nil {
		return nil, fmt.Errorf("logs of %s: %w", addr, err)
	}
	tool, env := p.Tool("mysqlbinlog")
	if tool == nil {
		for i := range names {
			names[i] = filepath.Join(data, names[i])
			if _, err := os.Stat(names[i]); err != nil {
				return nil, fmt.Errorf("%s has no mysqlbinlog, and its log is not on this machine: %w", p.Name, err)
			}
		}
		return names, nil
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	args := append(tool[1:len(tool):len(tool)], "--no-defaults", "--read-from-remote-server", "--raw", "--verify-binlog-checksum", "--host="+host, "--port="+port,
		"--protocol=tcp", "--user="+servers.RootUser, "--result-file="+dir+"/")
	cmd := exec.CommandContext(ctx, tool[0], append(args, names...)...)
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("mysqlbinlog: %w: %s", err, out)
	}
	for i := range names {
		names[i] = filepath.Join(dir, names[i])
	}
	return names, nil
}

// logs returns the names of the server's log files, and the folder that it keeps them in.
func logs(ctx context.Context, addr string) (names []string, dir string, err error) {
	c, err := client.ConnectWithContext(ctx, addr, servers.RootUser, "", "", 0)
	if err != nil {
		return nil, "", err
	}
	defer c.Close()
	if _, err := c.Execute("flush binary logs"); err != nil { // what is read is complete
		return nil, "", err
	}
	r, err := c.Execute("show binary logs")
	if err != nil {
		return nil, "", err
	}
	for i := range r.Values {
		name, err := r.GetString(i, 0)
		if err != nil {
			return nil, "", err
		}
		names = append(names, strings.Clone(name))
	}
	if r, err = c.Execute("select @@log_bin_basename, @@datadir"); err != nil {
		return nil, "", err
	}
	base, err := r.GetString(0, 0)
	if err != nil {
		return nil, "", err
	}
	return names, filepath.Dir(base), nil
}

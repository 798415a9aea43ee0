package fault

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// owner returns which of some processes has the connection from a local port to another one; empty if none has.
func owner(port, to int, pids map[int]string) string {
	inode := inodeOf(port, to)
	if inode == "" {
		return ""
	}
	want := "socket:[" + inode + "]"
	for pid, name := range pids {
		dir := fmt.Sprintf("/proc/%d/fd", pid)
		files, err := os.ReadDir(dir)
		if err != nil {
			continue // it has ended
		}
		for _, f := range files {
			if link, err := os.Readlink(dir + "/" + f.Name()); err == nil && link == want {
				return name
			}
		}
	}
	return ""
}

// inodeOf returns the inode of the socket from a port to another, as /proc/net/tcp has it. Java's sockets are in tcp6.
func inodeOf(port, to int) string {
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		f, err := os.Open(file)
		if err != nil {
			continue
		}
		inode := ""
		for s := bufio.NewScanner(f); s.Scan() && inode == ""; {
			words := strings.Fields(s.Text())
			if len(words) > 9 && portOf(words[1]) == port && portOf(words[2]) == to {
				inode = words[9]
			}
		}
		f.Close()
		if inode != "" {
			return inode
		}
	}
	return ""
}

// portOf reads the port of an address of /proc/net/tcp: "0100007F:1F90".
func portOf(address string) int {
	_, text, _ := strings.Cut(address, ":")
	n, err := strconv.ParseUint(text, 16, 16)
	if err != nil {
		return -1
	}
	return int(n)
}

package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/rowmesh/rowmesh/deploy/servers"
)

// cpu sums the CPU time of processes, in ticks of 10 ms.
func cpu(procs ...*servers.Process) (d time.Duration) {
	for _, p := range procs {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID()))
		if err != nil {
			continue
		}
		f := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		for _, i := range []int{11, 12} { // utime, stime: fields 14 and 15 of proc(5)
			n, _ := strconv.ParseInt(f[i], 10, 64)
			d += time.Duration(n) * 10 * time.Millisecond
		}
	}
	return d
}

// peak is the most memory that a process had resident since forget, MB; 0 if it is gone.
func peak(p *servers.Process) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		return 0
	}
	_, after, found := strings.Cut(string(text), "VmHWM:")
	if !found {
		return 0
	}
	n, _ := strconv.ParseInt(strings.Fields(after)[0], 10, 64)
	return n / 1000
}

// forget makes now the beginning of what peak looks at (proc(5), clear_refs).
func forget(procs ...*servers.Process) {
	for _, p := range procs {
		// Where the kernel does not let us the peak is that of the process's life, which is larger.
		_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.PID()), []byte("5"), 0)
	}
}

package registry

import (
	"net"
	"strconv"
	"strings"

	"github.com/rowmesh/rowmesh/services/errs"
)

// SourceOf returns the source that a connector's config reads from: database.hostname, lower case, and database.port, 3306 if absent.
func SourceOf(config map[string]string) (SourceID, error) {
	host := strings.ToLower(strings.TrimSpace(config["database.hostname"]))
	if host == "" {
		return "", errs.E(errs.Invalid, "database.hostname is missing; name the server to read from")
	}
	port := strings.TrimSpace(config["database.port"])
	if port == "" {
		port = "3306"
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(port, "+"), 10, 16) // Java reads a leading + too
	if err != nil || n == 0 {
		return "", errs.E(errs.Invalid, "database.port %q is no port; give a number from 1 to 65535", port)
	}
	return SourceID(net.JoinHostPort(host, strconv.FormatUint(n, 10))), nil
}

// TasksOf returns how many lanes a connector's config asks for: tasks.max, 1 if absent.
func TasksOf(config map[string]string) (uint32, error) {
	text := strings.TrimSpace(config["tasks.max"])
	if text == "" {
		return 1, nil
	}
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil || n == 0 {
		return 0, errs.E(errs.Invalid, "tasks.max %q is no number of tasks; give a number from 1 on", text)
	}
	return uint32(n), nil
}

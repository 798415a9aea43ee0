package connect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/source"
)

// Preflight is a Validator that connects to the database of a connector and looks at what the connector will need: the log, its format, grants.
type Preflight struct {
	// Timeout bounds the whole check. Default 4 s: clients of Kafka Connect give up on a create request after 5 s, and then do not see the reason.
	Timeout time.Duration
}

var _ Validator = Preflight{}

// Validate implements Validator.
func (p Preflight) Validate(ctx context.Context, c *config.Connector) config.Result {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(p.Timeout, 4*time.Second))
	defer cancel()
	conn, err := source.Connect(ctx, source.FromConnector(c))
	if err != nil {
		return unreachable(err)
	}
	defer conn.Close()
	problems, err := source.Check(ctx, conn, needs(c))
	if err != nil {
		return unreachable(err)
	}
	names, err := source.CheckNames(ctx, conn, c)
	if err != nil {
		return unreachable(err)
	}
	problems = append(problems, names...)
	var res config.Result
	for _, found := range problems {
		if found.Warning {
			res.Warnings = append(res.Warnings, config.Problem{Option: found.Option, Text: found.Text})
			continue
		}
		res.Errors = append(res.Errors, config.Problem{Option: found.Option, Text: fmt.Sprintf("The '%s' value is invalid: %s", found.Option, found.Text)})
	}
	return res
}

func needs(c *config.Connector) source.Needs {
	return source.Needs{
		Stream:   c.Snapshot.Mode != "initial_only",
		Snapshot: c.Snapshot.Mode != "no_data",
		Flavor:   c.Flavor,
		NoLocks:  c.Snapshot.LockingMode == "none",
	}
}

// accessDenied is ER_ACCESS_DENIED_ERROR. Its text names the user, the host and whether a password was sent, and is compared by clients.
const accessDenied = 1045

func unreachable(err error) config.Result {
	text := err.Error()
	var server *source.ServerError
	if errors.As(err, &server) && server.Code == accessDenied {
		text = server.Message
	}
	return config.Result{Errors: []config.Problem{{Option: "database.hostname", Text: "Unable to connect: " + text}}}
}

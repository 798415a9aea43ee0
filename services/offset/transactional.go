package offset

import "fmt"

// TransactionalID names the producer of a connector's lane: after the lane, never after the worker, so that a new owner fences the old one.
func TransactionalID(mesh, connector string, task uint32) string {
	return fmt.Sprintf("%s-%s-%d", mesh, connector, task)
}

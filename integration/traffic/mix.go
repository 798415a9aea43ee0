package traffic

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/go-mysql-org/go-mysql/client"
)

// Workload is one of this package's.
type Workload interface {
	// Run writes until ctx ends, and returns when nothing is left open.
	Run(ctx context.Context) error
	// Count is the number of committed changes so far, about.
	Count() int

	create() []string
}

var (
	_ Workload = (*Registers)(nil)
	_ Workload = (*Bank)(nil)
	_ Workload = (*Unique)(nil)
	_ Workload = (*Shapes)(nil)
	_ Workload = (*Big)(nil)
	_ Workload = (*Idle)(nil)
	_ Workload = (*Probe)(nil)
)

// Mix runs workloads on one database.
type Mix struct {
	Server
	Workloads []Workload
}

// Setup makes the database and all tables anew.
func (m *Mix) Setup(ctx context.Context) error {
	q := []string{"drop database if exists " + m.Database, "create database " + m.Database}
	for _, w := range m.Workloads {
		q = append(q, w.create()...)
	}
	return m.setup(ctx, "", q...)
}

// Run runs all workloads until ctx ends.
func (m *Mix) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	errs := make([]error, len(m.Workloads))
	for i, w := range m.Workloads {
		wg.Go(func() {
			if err := w.Run(ctx); err != nil {
				errs[i] = fmt.Errorf("%T: %w", w, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Count is the number of committed changes so far, about.
func (m *Mix) Count() (n int) {
	for _, w := range m.Workloads {
		n += w.Count()
	}
	return n
}

// Tables are the names of all tables that there are now.
func (m *Mix) Tables(ctx context.Context) ([]string, error) {
	c, err := m.connect(ctx, m.Database)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return tables(c)
}

func tables(c *client.Conn) ([]string, error) {
	r, err := c.Execute("show tables")
	if err != nil {
		return nil, err
	}
	var out []string
	for i := range r.Values {
		name, err := r.GetString(i, 0)
		if err != nil {
			return nil, err
		}
		out = append(out, name)
	}
	return out, nil
}

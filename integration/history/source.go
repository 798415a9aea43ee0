package history

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-mysql-org/go-mysql/client"

	"github.com/rowmesh/rowmesh/deploy/servers"
	"github.com/rowmesh/rowmesh/integration/check"
)

// Rows feeds the rows that a self-verifying table has now.
func Rows(ctx context.Context, j *check.Judge, addr, database, table string) error {
	c, err := client.ConnectWithContext(ctx, addr, servers.RootUser, "", database, 0)
	if err != nil {
		return err
	}
	defer c.Close()
	r, err := c.Execute("select * from " + table)
	if err != nil {
		return err
	}
	for i := range r.Values {
		image := make([]Value, len(r.Values[i]))
		for k, v := range r.Values[i] {
			if v.Value() == nil {
				image[k].Null = true
			} else if text, ok := v.Value().([]byte); ok {
				image[k].Text = string(text)
			} else {
				image[k].Text = fmt.Sprint(v.Value())
			}
		}
		key, _, err := keyOf(image)
		if err != nil {
			return fmt.Errorf("%s: %w", table, err)
		}
		j.Row(check.Row{Table: database + "." + table, Key: key, Hash: hashOf(image)})
	}
	return nil
}

// Newest reads key and version of an event of a self-verifying table.
func Newest(value []byte) (key, version int64, err error) {
	var v struct {
		Op            string
		Before, After json.RawMessage
		Payload       json.RawMessage
	}
	if err := json.Unmarshal(value, &v); err != nil {
		return 0, 0, fmt.Errorf("event %.200s: %w", value, err)
	}
	if v.Op == "" && v.Payload != nil {
		return Newest(v.Payload)
	}
	text, add := v.After, int64(0)
	if v.Op == "d" {
		text, add = v.Before, 1
	}
	image, err := members(text)
	if err != nil {
		return 0, 0, err
	}
	key, version, err = keyOf(image)
	return key, version + add, err
}

// Save writes a report as JSON and as a page into the folder that ROWMESH_REPORTS names, if it names one.
func Save(t testing.TB, r *check.Report) {
	t.Helper()
	dir := os.Getenv("ROWMESH_REPORTS")
	if dir == "" {
		return
	}
	for ending, write := range map[string]func(*os.File) error{".json": func(f *os.File) error { return r.WriteJSON(f) }, ".html": func(f *os.File) error { return r.WriteHTML(f) }} {
		f, err := os.Create(filepath.Join(dir, strings.ReplaceAll(r.Name, "/", "-")+ending))
		if err == nil {
			err = write(f)
			if e := f.Close(); err == nil {
				err = e
			}
		}
		if err != nil {
			t.Errorf("report: %v", err)
		}
	}
}

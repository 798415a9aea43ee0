// Package packages runs the tests of the other packages again with real servers in their environment: those that need one skip without.
package packages

import (
	"os"
	"os/exec"
	"testing"

	"github.com/rowmesh/rowmesh/integration/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

func TestOnRealServers(t *testing.T) {
	// One seed, so that this run says the same every time; random ones are for whoever looks for more: ROWMESH_TEST_SEED.
	env := append([]string{"ROWMESH_TEST_SEED=1"}, os.Environ()...)
	for name, part := range map[string]harness.Part{
		"ROWMESH_TEST_MYSQL": harness.MySQL, "ROWMESH_TEST_MYSQL80": harness.MySQL80, "ROWMESH_TEST_MARIADB": harness.MariaDB, "ROWMESH_TEST_KAFKA": harness.Kafka,
	} {
		env = append(env, name+"="+harness.Addr(t, part))
	}
	cmd := exec.CommandContext(t.Context(), "go", "test", "-count=1", "./services/...", "./capturer/...", "./publisher/...", "./coordinator/...")
	cmd.Dir, cmd.Env = "../..", env
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

package servers

import (
	"context"
	"fmt"
	"os/exec"
)

// Python fetches packages of PyPI, each "name==version", as the cache's item name, and returns the folder that PYTHONPATH must hold. All that they need must be
// among them: what a resolver chooses today is something else tomorrow.
func (c *Cache) Python(ctx context.Context, name, what string, packages ...string) (string, error) {
	return c.item(ctx, name, what+" (PyPI)", func(ctx context.Context, dir string) error {
		if _, err := exec.LookPath("python3"); err != nil {
			return fmt.Errorf("python3: %w", ErrMissing)
		}
		if err := command(ctx, dir, "python3", "-m", "pip", "--version"); err != nil {
			return fmt.Errorf("pip of python3: %w", ErrMissing)
		}
		return command(ctx, dir, "python3", append([]string{"-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--target", "."}, packages...)...)
	})
}

package servers

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"time"
)

// registryVersion is that of Apicurio's registry, which speaks Confluent's API under RegistryPath.
const registryVersion = "3.0.9"

// RegistryPath is the root of Confluent's API at a Registry.
const RegistryPath = "/apis/ccompat/v7"

// Registry is a schema registry that can be started.
type Registry struct {
	Name string
	jar  string
}

// Registry fetches Apicurio's registry, which keeps its schemas in memory. It needs Java 17.
func (c *Cache) Registry(ctx context.Context) (*Registry, error) {
	artifact := "io.apicurio:apicurio-registry-app:" + registryVersion + ":tar.gz:all"
	name := "apicurio-registry-" + registryVersion
	dir, err := c.item(ctx, name, "Apicurio Registry "+registryVersion+" (Maven)", func(ctx context.Context, dir string) error {
		if err := maven(ctx, dir, "dependency:get", "-Dtransitive=false", "-Dartifact="+artifact); err != nil {
			return err
		}
		if err := maven(ctx, dir, "dependency:copy", "-Dartifact="+artifact, "-DoutputDirectory=.", "-Dmdep.stripVersion=true"); err != nil {
			return err
		}
		return command(ctx, dir, "tar", "xzf", "apicurio-registry-app-all.tar.gz")
	})
	if err != nil {
		return nil, err
	}
	return &Registry{Name: "Apicurio Registry " + registryVersion, jar: filepath.Join(dir, "apicurio-registry-app-"+registryVersion+"-runner.jar")}, nil
}

// Start starts the registry and waits until it answers; dir holds its log. The heap is what Quarkus needs and some schemas.
func (r *Registry) Start(ctx context.Context, dir string) (*Process, error) {
	port, err := FreePort()
	if err != nil {
		return nil, err
	}
	env := []string{"QUARKUS_HTTP_HOST=127.0.0.1", fmt.Sprintf("QUARKUS_HTTP_PORT=%d", port)}
	p, err := Spawn(r.Name, dir, filepath.Join(dir, "log"), env, 5*time.Second, "java", "-XX:TieredStopAtLevel=1", "-Xmx256m", "-jar", r.jar)
	if err != nil {
		return nil, err
	}
	p.Addr = fmt.Sprintf("127.0.0.1:%d", port)
	err = p.Await(ctx, 2*time.Minute, func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.Addr+RegistryPath+"/subjects", nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s", resp.Status)
		}
		return nil
	})
	if err != nil {
		p.Kill()
		return nil, err
	}
	return p, nil
}

package offset

import (
	"maps"
	"strings"
)

// ClientOf returns librdkafka's properties for the cluster on which a connector's offsets lie: the mesh's, with what the connector's producer overrides say
// about where to connect and how. Offsets are written in the same transactions as rows, so they lie where the rows go.
func ClientOf(mesh, producer map[string]string) map[string]string {
	out := maps.Clone(mesh)
	for k, v := range producer {
		if k == "bootstrap.servers" || k == "security.protocol" || strings.HasPrefix(k, "sasl.") || strings.HasPrefix(k, "ssl.") {
			out[k] = v
		}
	}
	return out
}

//go:build !broken

package publisher

// seams returns what lanes stand on: this machine and the mesh, as they are. Builds with the tag "broken", which tests make, put a rule of the protocol out of force
// here; see broken.go.
func seams(mesh Assignments) (outside, Assignments, error) { return machine{}, mesh, nil }

// Package foreign runs connectors whose transforms are servers of other languages: testdata/python is one in Python, with nothing but the published proto and
// grpcio. Each is run as its users would run it, against a mesh of real processes, and fails in the ways that servers do.
package foreign

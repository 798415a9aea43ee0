// Package proto holds the services' protocol buffers; gen is their generated Go code.
package proto

//go:generate go tool buf generate --template buf.gen.yaml

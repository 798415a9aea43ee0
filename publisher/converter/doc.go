// Package converter makes bytes of keys, values and headers.
package converter

// Package jsontext writes texts and numbers in JSON as Kafka Connect's JsonConverter does: Jackson's escapes, and floating point numbers as Java's
// Double.toString. All functions append; none allocates beyond dst.
package jsontext

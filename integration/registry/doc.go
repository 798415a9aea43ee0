// Package registry proves converters that need a schema registry with a real one: Apicurio's, by the API that it shares with Confluent's.
package registry

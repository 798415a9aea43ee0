// Package config says what the options of a connector mean: it holds one registry of every option that Kafka Connect and Debezium's
// MySQL and MariaDB connectors know, and turns the flat map that a user sends into a typed [Connector].
//
// The registry is data (options.jsonl, one option a line): name, type, default, group, documentation, checks and names of Debezium 1.x as
// Debezium 3.6 and Kafka Connect 4.3 publish them, and beside them what this system does with the option ([Use]). Nothing else
// in the code decides whether an option is known.
//
// The way of a config through [Parse]:
//
//	translate 1.x names and values ─> find the class ─> Connect's checks ─> Debezium's checks ─> uses ─> Connector
//	      warnings                       error, alone        errors             errors          warnings, refusals
//
// Guarantees:
//   - Problems come in the order and in the words of Kafka Connect and Debezium, so that clients which compare texts go on working.
//   - An option that is known but not honoured is warned about or refused by name; an unknown one is warned about.
//   - No text holds the value of an option that is a secret.
//   - Patterns in a Connector compile with Go's regexp and mean what Java's mean; those that cannot be had so are refused by name.
//
// What it does not do: it asks no server. Whether the database exists and grants what is needed is another's check.
package config

// Package capturetest holds the conformance suite that every implementation of the row stream passes, and a fake service for tests of subscribers.
package capturetest

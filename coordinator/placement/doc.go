// Package placement decides who gets what: sources over capturers, lanes over publishers, tables over lanes. It is pure: same input, same output,
// on any coordinator.
//
// Place is sticky. What has a living owner stays, unless moving it makes the more loaded of two members' loads smaller; so adding a member moves no
// more than balance needs, and removing one moves only what it had.
package placement

// Package keystore reads the files that hold certificates and keys: PEM, and the two kinds that Java's keytool makes, JKS and PKCS12. The kind is told by
// the content, never by the name.
//
// Guarantees: a file is read whole or refused with its name, its kind and the next step; no error holds a password or a key. It writes no files, and keeps
// nothing.
package keystore

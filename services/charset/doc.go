// Package charset turns text in the character sets of MySQL and MariaDB into UTF-8, as the servers themselves would. It is pure.
//
// Decoders are exact for the single-byte character sets (their tables come from a server) and for the Unicode ones; the East Asian ones rest on
// golang.org/x/text, corrected where the servers map a code differently. Bytes that mean nothing in the character set become U+FFFD, one for each
// character that could not be read: text that leaves here is always valid UTF-8, except that utf8mb3 and utf8mb4 go through unchecked, since the
// server has validated them.
package charset

package charset

// fixes holds, by character set and code, what the servers read differently from golang.org/x/text.
var fixes = map[string]map[uint32]rune{}

package gtid

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/rowmesh/rowmesh/services/config"
)

// maxGNO is the highest number that MySQL assigns (GNO_END - 1 in rpl_gtid.h). MariaDB's are 64 bits wide.
const maxGNO = 1<<63 - 2

// Parse reads a set in the text form of the flavor's servers: upper or lower case, blanks and newlines between the parts, any order, empty parts.
// It fails with the part that it does not understand.
func Parse(flavor config.Flavor, text string) (*Set, error) {
	s := New(flavor)
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		var err error
		if flavor == config.MariaDB {
			err = s.parseMariaDB(part)
		} else {
			err = s.parseMySQL(part)
		}
		if err != nil {
			return nil, fmt.Errorf("GTID set: %q: %w", part, err)
		}
	}
	s.recent = nil
	return s, nil
}

// parseMySQL reads uuid[:tag][:interval]..., where a tag holds for the intervals behind it.
func (s *Set) parseMySQL(part string) error {
	uuid, rest, more := strings.Cut(part, ":")
	sid := strings.TrimSpace(uuid)
	if _, err := parseSID(s.flavor, sid); err != nil {
		return err
	}
	if !more {
		return fmt.Errorf("no intervals")
	}
	for field := range strings.SplitSeq(rest, ":") {
		field = strings.TrimSpace(field)
		if field == "" {
			return fmt.Errorf("empty interval")
		}
		if field[0] < '0' || field[0] > '9' {
			sid = strings.TrimSpace(uuid) + ":" + field
			if _, err := parseSID(s.flavor, sid); err != nil {
				return err
			}
			continue
		}
		v, err := parseInterval(field)
		if err != nil {
			return err
		}
		src, err := s.sourceOf(sid)
		if err != nil {
			return err
		}
		src.add(v)
	}
	return nil
}

func parseInterval(text string) (interval, error) {
	a, b, isRange := strings.Cut(text, "-")
	first, err := strconv.ParseUint(strings.TrimSpace(a), 10, 64)
	if err != nil {
		return interval{}, fmt.Errorf("interval %q: not a number", text)
	}
	last := first
	if isRange {
		if last, err = strconv.ParseUint(strings.TrimSpace(b), 10, 64); err != nil {
			return interval{}, fmt.Errorf("interval %q: not a number", text)
		}
	}
	if first == 0 || last < first || last > maxGNO {
		return interval{}, fmt.Errorf("interval %q: must run upwards within 1-%d", text, uint64(maxGNO))
	}
	return interval{first, last}, nil
}

// parseMariaDB reads domain-server-seq. Of several in one domain, as in gtid_binlog_state, the highest number is the position.
func (s *Set) parseMariaDB(part string) error {
	i := strings.LastIndexByte(part, '-')
	if i < 0 {
		return fmt.Errorf("not domain-server-sequence")
	}
	seq, err := strconv.ParseUint(part[i+1:], 10, 64)
	if err != nil || seq == 0 {
		return fmt.Errorf("sequence %q: not a positive number", part[i+1:])
	}
	key, err := parseSID(s.flavor, part[:i])
	if err != nil {
		return err
	}
	if src := s.find(key); src != nil && src.last() >= seq {
		return nil
	}
	return s.Add(key.sid, seq)
}

// parseSID reads "uuid", "uuid:tag" or "domain-server" into a source without intervals.
func parseSID(flavor config.Flavor, sid string) (*source, error) {
	if flavor == config.MariaDB {
		a, b, ok := strings.Cut(sid, "-")
		domain, err1 := strconv.ParseUint(a, 10, 32)
		server, err2 := strconv.ParseUint(b, 10, 32)
		if !ok || err1 != nil || err2 != nil {
			return nil, fmt.Errorf("%q is not domain-server", sid)
		}
		group := strconv.FormatUint(domain, 10)
		return &source{sid: group + "-" + strconv.FormatUint(server, 10), group: group, domain: uint32(domain), stale: true}, nil
	}
	uuid, tag, tagged := strings.Cut(sid, ":")
	uuid, tag = strings.ToLower(strings.TrimSpace(uuid)), strings.ToLower(strings.TrimSpace(tag))
	if !isUUID(uuid) {
		return nil, fmt.Errorf("%q is not a UUID", uuid)
	}
	if tagged && !isTag(tag) {
		return nil, fmt.Errorf("%q is not a tag", tag)
	}
	src := &source{sid: uuid, group: uuid, tag: tag, stale: true}
	if tag != "" {
		src.sid = uuid + ":" + tag
	}
	return src, nil
}

func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return false
			}
		case c >= '0' && c <= '9', c >= 'a' && c <= 'f':
		default:
			return false
		}
	}
	return true
}

// isTag: a letter or underscore, then up to 31 letters, digits and underscores (MySQL 8.3, gtid_next).
func isTag(s string) bool {
	if s == "" || len(s) > 32 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if c != '_' && (c < 'a' || c > 'z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// String returns the text that the server prints, without newlines.
func (s *Set) String() string { return string(s.AppendText(nil)) }

// AppendText appends the text of String to dst. Only sources that changed since the last time are rendered again.
func (s *Set) AppendText(dst []byte) []byte {
	group := ""
	for i, src := range s.sources {
		if src.stale {
			src.render(s.flavor)
		}
		if s.flavor == config.MariaDB {
			if i > 0 {
				dst = append(dst, ',')
			}
		} else if i == 0 || src.group != group {
			if i > 0 {
				dst = append(dst, ',')
			}
			group = src.group
			dst = append(dst, group...)
		}
		dst = append(dst, src.text...)
	}
	return dst
}

func (s *source) render(flavor config.Flavor) {
	b := s.text[:0]
	if flavor == config.MariaDB {
		b = append(append(b, s.sid...), '-')
		b = strconv.AppendUint(b, s.last(), 10)
	} else {
		if s.tag != "" {
			b = append(append(b, ':'), s.tag...)
		}
		for _, v := range s.intervals {
			b = strconv.AppendUint(append(b, ':'), v.first, 10)
			if v.last > v.first {
				b = strconv.AppendUint(append(b, '-'), v.last, 10)
			}
		}
	}
	s.text, s.stale = b, false
}

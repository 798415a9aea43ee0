package binlog

import (
	"hash/crc32"
	"math"

	"github.com/rowmesh/rowmesh/services/errs"
)

// verify checks and cuts off the checksum.
func (s *Stream) verify(h header, b []byte) ([]byte, error) {
	has := s.checksum
	switch h.kind {
	case formatDescriptionEvent:
		// The last five bytes are the algorithm, and the event's own checksum whatever that is.
		if len(b) < headerSize+2+50+4+1+checksumBytes+1 {
			return nil, errShort
		}
		s.checksum = b[len(b)-checksumBytes-1] == 1
		has = s.checksum
		if !has {
			return b[:len(b)-checksumBytes], nil
		}
	case rotateEvent:
		// The first event of a dump comes before the format description: whether it has a checksum, only the checksum tells.
		if n := len(b) - checksumBytes; n >= headerSize+8 && crc32.ChecksumIEEE(b[:n]) == uint32(uintLE(b[n:])) {
			return b[:n], nil
		}
		if h.logPos == 0 || h.flags&flagArtificial != 0 {
			return b, nil
		}
	}
	if !has {
		return b, nil
	}
	n := len(b) - checksumBytes
	if n < headerSize {
		return nil, errShort
	}
	if s.cfg.VerifyChecksum {
		if want, got := uint32(uintLE(b[n:])), crc32.ChecksumIEEE(b[:n]); want != got {
			return nil, errs.E(errs.Corrupt, "the checksum of the %s event that ends at %d is %08x, its bytes give %08x; check the file with mysqlbinlog "+
				"--verify-binlog-checksum on the server", h.kind, h.logPos, want, got)
		}
	}
	return b[:n], nil
}

// place is where an event stands.
type place struct{ pos, end uint64 }

// place finds where an event stands. Headers hold the low 32 bits of the end, or 0: in events made for the reader, and on MariaDB from 11.4 on inside
// transactions.
func (s *Stream) place(h header) place {
	switch h.kind {
	case rotateEvent, heartbeatEvent, heartbeatV2Event:
		return place{s.pos, s.pos}
	case formatDescriptionEvent, previousGtidsEvent, mariaGtidList, mariaStartEncryption:
		// They stand at the head of the file, and are repeated to a reader that begins further on.
		if end := uint64(h.logPos); end > s.pos {
			s.pos = end
		}
		return place{s.pos, s.pos}
	}
	if h.flags&flagArtificial != 0 {
		return place{s.pos, s.pos}
	}
	end := s.pos + uint64(h.size)
	if h.logPos != 0 && uint32(end) != h.logPos {
		// The server left events out: the position jumps forward.
		end = s.pos&^math.MaxUint32 | uint64(h.logPos)
		if end < s.pos {
			end += 1 << 32
		}
	}
	s.pos = end
	return place{end - min(end, uint64(h.size)), end}
}

// skip says whether an event stands before the place where the caller wanted to begin.
func (s *Stream) skip(h header, at place) bool {
	switch h.kind {
	case rotateEvent, formatDescriptionEvent, heartbeatEvent, heartbeatV2Event:
		return false
	}
	if at.pos >= s.skipTo {
		s.skipTo = 0
		return false
	}
	return true
}

func (s *Stream) skipError(at place) error {
	if at.pos < s.skipTo && at.end > s.skipTo {
		return errs.E(errs.Gap, "position %d is not the start of an event: the event there stands at %d; take a new snapshot", s.skipTo, at.pos)
	}
	return nil
}

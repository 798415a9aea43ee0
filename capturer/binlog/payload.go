package binlog

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/rowmesh/rowmesh/services/errs"
)

// Fields of a TRANSACTION_PAYLOAD event: type, length and value, all length-encoded.
const (
	payloadEnd         = 0
	payloadSize        = 1
	payloadCompression = 2
	payloadRawSize     = 3
)

// Compression of a payload.
const (
	payloadZstd = 0
	payloadNone = 255
)

// payloadReader reads the events inside a compressed transaction one by one. It holds the compressed bytes, zstd's window and the event at hand.
type payloadReader struct {
	compressed bytes.Reader
	zstd       *zstd.Decoder
	r          io.Reader
	buf        []byte
	max        int
	done       bool
}

// maxWindowBytes bounds zstd's window. The server compresses at levels up to 22, whose largest window is 128 MiB.
const maxWindowBytes = 128 << 20

func (s *Stream) openPayload(body []byte, at place) error {
	if s.inner != nil {
		return errs.E(errs.Corrupt, "a compressed transaction inside a compressed transaction")
	}
	compression := uint64(payloadNone)
	c := cursor{b: body}
	for !c.failed {
		kind := c.lenenc()
		if kind == payloadEnd {
			break
		}
		v := cursor{b: c.lenencBytes()}
		if kind == payloadCompression {
			compression = v.lenenc()
		}
	}
	if c.failed {
		return errShort
	}
	if s.payload == nil {
		s.payload = &payloadReader{max: s.cfg.MaxEventBytes}
	}
	if err := s.payload.reset(c.b, compression); err != nil {
		return err
	}
	s.inner, s.outer = s.payload, at
	return nil
}

func (p *payloadReader) reset(data []byte, compression uint64) error {
	p.compressed.Reset(data)
	p.done = false
	switch compression {
	case payloadNone:
		p.r = &p.compressed
	case payloadZstd:
		if p.zstd == nil {
			d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindowBytes))
			if err != nil {
				return err
			}
			p.zstd = d
		}
		if err := p.zstd.Reset(&p.compressed); err != nil {
			return err
		}
		p.r = p.zstd
	default:
		return errs.E(errs.Unsupported, "compression %d of a transaction", compression)
	}
	return nil
}

// more is true until the end was seen; the end of the transaction comes before it, so Buffered may say true once too often, which costs one call.
func (p *payloadReader) more() bool { return !p.done }

func (p *payloadReader) next() ([]byte, error) {
	p.buf = growTo(p.buf, headerSize)
	if _, err := io.ReadFull(p.r, p.buf[:headerSize]); err != nil {
		p.done = true
		if err == io.EOF {
			return nil, io.EOF
		}
		return nil, corruptPayload(err)
	}
	h := parseHeader(p.buf)
	if h.size < headerSize || int64(h.size) > int64(p.max) {
		return nil, errs.E(errs.Corrupt, "compressed transaction: an event of %d bytes", h.size)
	}
	// Read as much as arrives, not as much as the header announces.
	for have := headerSize; have < int(h.size); {
		to := min(int(h.size), have+readBufferBytes)
		p.buf = growTo(p.buf, to)
		n, err := io.ReadFull(p.r, p.buf[have:to])
		if err != nil {
			return nil, corruptPayload(err)
		}
		have += n
	}
	return p.buf[:h.size], nil
}

func corruptPayload(err error) error { return errs.E(errs.Corrupt, "compressed transaction: %w", err) }

// growTo returns b with at least n bytes, what was there kept. A buffer of more than 1 MiB is let go when a small event follows.
func growTo(b []byte, n int) []byte {
	if n == headerSize && cap(b) > 1<<20 {
		b = nil
	}
	if n <= cap(b) {
		return b[:max(n, len(b))]
	}
	grown := make([]byte, max(n, 2*cap(b), 4096))
	copy(grown, b)
	return grown
}

// inflater undoes MariaDB's compression of events and columns. The results are valid until the next call.
type inflater struct {
	src bytes.Reader
	z   io.ReadCloser
	raw io.ReadCloser
	out []byte
}

// mariaDB undoes log_bin_compress: a byte with algorithm and width of the length, the length big endian, zlib data.
func (f *inflater) mariaDB(b []byte, limit int) ([]byte, error) {
	c := cursor{b: b}
	head := c.u8()
	size := uintBE(c.take(int(head & 0x07)))
	if c.failed {
		return nil, errShort
	}
	if head&0x70 != 0 {
		return nil, errs.E(errs.Unsupported, "compression algorithm %d", head>>4&7)
	}
	if size > uint64(limit) {
		return nil, errs.E(errs.Corrupt, "%d bytes when decompressed", size)
	}
	return f.zlib(c.b, int(size))
}

// zlib decompresses to exactly size bytes.
func (f *inflater) zlib(b []byte, size int) ([]byte, error) {
	f.src.Reset(b)
	if f.z == nil {
		z, err := zlib.NewReader(&f.src)
		if err != nil {
			return nil, errs.E(errs.Corrupt, "zlib: %w", err)
		}
		f.z = z
	} else if err := f.z.(zlib.Resetter).Reset(&f.src, nil); err != nil {
		return nil, errs.E(errs.Corrupt, "zlib: %w", err)
	}
	return f.read(f.z, size)
}

func (f *inflater) read(r io.Reader, size int) ([]byte, error) {
	f.out = f.out[:0]
	for len(f.out) < size {
		if len(f.out) == cap(f.out) {
			grown := make([]byte, len(f.out), min(size, max(2*cap(f.out), readBufferBytes)))
			copy(grown, f.out)
			f.out = grown
		}
		n, err := r.Read(f.out[len(f.out):min(cap(f.out), size)])
		f.out = f.out[:len(f.out)+n]
		if err != nil && len(f.out) < size {
			return nil, errs.E(errs.Corrupt, "zlib: %w", fmt.Errorf("%d of %d bytes: %w", len(f.out), size, noEOF(err)))
		}
	}
	return f.out, nil
}

// column undoes a MariaDB COMPRESSED column (field_comp.h): a byte whose upper half is the method (0: stored as it is, 8: zlib), bit 3 says that there is no
// zlib header, and the lower three bits how many bytes of length follow, big endian.
func (f *inflater) column(b []byte) ([]byte, error) {
	if len(b) == 0 {
		return nil, nil
	}
	head := b[0]
	switch head >> 4 {
	case 0:
		return b[1:], nil
	case 8:
	default:
		return nil, errs.E(errs.Unsupported, "compression method %d of a COMPRESSED column", head>>4)
	}
	c := cursor{b: b[1:]}
	size := uintBE(c.take(int(head & 0x07)))
	if c.failed || size > defaultMaxEventBytes {
		return nil, errShort
	}
	if head&0x08 == 0 {
		return f.zlib(c.b, int(size))
	}
	f.src.Reset(c.b)
	if f.raw == nil {
		f.raw = flate.NewReader(&f.src)
	} else if err := f.raw.(flate.Resetter).Reset(&f.src, nil); err != nil {
		return nil, errs.E(errs.Corrupt, "deflate: %w", err)
	}
	return f.read(f.raw, int(size))
}

package binlog

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/rowmesh/rowmesh/services/errs"
)

// send writes payloads as packets of the client protocol.
func send(conn net.Conn, payloads ...[]byte) {
	seq := byte(1)
	for _, p := range payloads {
		for {
			n := min(len(p), maxPacketBytes)
			conn.Write([]byte{byte(n), byte(n >> 8), byte(n >> 16), seq})
			conn.Write(p[:n])
			p = p[n:]
			seq++
			if n < maxPacketBytes {
				break
			}
		}
	}
	conn.Close()
}

func TestPackets(t *testing.T) {
	pattern := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(i * 7 / 3)
		}
		return b
	}
	// Around the size of the buffer, and events of more than one packet, one of them ending with an empty one.
	var payloads [][]byte
	for _, n := range []int{1, 0, 100, readBufferBytes - 4, readBufferBytes, readBufferBytes + 1, 3 * readBufferBytes, maxPacketBytes - 1, maxPacketBytes,
		maxPacketBytes + 5, 2 * maxPacketBytes, 20, 30} {
		payloads = append(payloads, pattern(n))
	}
	server, conn := net.Pipe()
	go send(server, payloads...)
	r := newPacketReader(conn, time.Minute, 64<<20)
	defer r.Close()
	for i, want := range payloads {
		got, err := r.next()
		if err != nil {
			t.Fatalf("packet %d: %v", i, err)
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("packet %d: %d bytes differ from the %d sent", i, len(got), len(want))
		}
	}
	if cap(r.big) != 0 {
		t.Errorf("%d bytes kept for joining after small packets", cap(r.big))
	}
	if _, err := r.next(); err == nil {
		t.Error("a packet behind the end")
	}
}

// noDeadline is a connection whose deadline can be set after the other side has closed it, as that of a socket can and that of a pipe cannot.
type noDeadline struct{ net.Conn }

func (noDeadline) SetReadDeadline(time.Time) error { return nil }

func TestPacketErrors(t *testing.T) {
	read := func(limit int, bytes []byte) error {
		server, conn := net.Pipe()
		defer conn.Close()
		go func() {
			server.Write(bytes)
			server.Close()
		}()
		_, err := newPacketReader(noDeadline{conn}, time.Minute, limit).next()
		return err
	}
	if err := read(1<<20, []byte{1, 0, 0, 9, 0}); errs.KindOf(err) != errs.Corrupt {
		t.Errorf("wrong number: %v", err)
	}
	if err := read(1<<20, []byte{5, 0, 0, 1, 0}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut packet: %v", err)
	}
	if err := read(1<<20, []byte{5, 0}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut header: %v", err)
	}
	if err := read(1<<19, append([]byte{0, 0, 0x10, 1}, make([]byte, 1<<20)...)); errs.KindOf(err) != errs.Unsupported {
		t.Errorf("too long: %v", err)
	}
}

// Silence longer than the read timeout ends the stream.
func TestReadTimeout(t *testing.T) {
	server, conn := net.Pipe()
	defer server.Close()
	r := newPacketReader(conn, time.Millisecond, 1<<20)
	_, err := r.next()
	if errs.KindOf(classify("read", err)) != errs.Unavailable {
		t.Errorf("got %v", err)
	}
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("got %v, want a timeout", err)
	}
}

package kafka

// #cgo LDFLAGS: -Wl,--unresolved-symbols=ignore-all
// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"fmt"
	"reflect"
	"unsafe"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// shim hands batches to librdkafka in one call. The tables of topics and header sets live in C memory, because C reads pointers from them.
// One goroutine uses it.
type shim struct {
	rk      *C.rd_kafka_t
	topics  cTable
	headers cTable
	names   cTable
	share   bool // records share the headers of their set
}

// newShim takes the librdkafka handle of confluent's producer, which has no accessor for it: a test pins the two field names to the version in go.mod, and
// an error here makes the producer fall back to one call per record.
func newShim(p *kafka.Producer) (*shim, error) {
	h := reflect.ValueOf(p).Elem().FieldByName("handle")
	if !h.IsValid() || h.Kind() != reflect.Struct {
		return nil, fmt.Errorf("confluent-kafka-go: Producer has no field handle")
	}
	rk := h.FieldByName("rk")
	if !rk.IsValid() || rk.Kind() != reflect.Pointer || rk.IsNil() {
		return nil, fmt.Errorf("confluent-kafka-go: handle has no field rk")
	}
	return &shim{rk: (*C.rd_kafka_t)(rk.UnsafePointer()), share: true}, nil
}

func (s *shim) addTopic(name string) error {
	c := C.CString(name)
	defer C.free(unsafe.Pointer(c))
	rkt := C.rd_kafka_topic_new(s.rk, c, nil)
	if rkt == nil {
		return fmt.Errorf("topic %q: %w", name, kafka.NewError(kafka.ErrorCode(C.rd_kafka_last_error()), "", false))
	}
	s.topics.add(unsafe.Pointer(rkt))
	return nil
}

func (s *shim) addName(name string) { s.names.add(unsafe.Pointer(C.CString(name))) }

func (s *shim) addHeaders(hs []Header) {
	c := C.rd_kafka_headers_new(C.size_t(len(hs)))
	for _, h := range hs {
		name := C.CString(h.Key)
		if h.Value == nil {
			C.rd_kafka_header_add(c, name, C.ssize_t(len(h.Key)), nil, 0)
		} else {
			v := C.CBytes(h.Value)
			C.rd_kafka_header_add(c, name, C.ssize_t(len(h.Key)), v, C.ssize_t(len(h.Value)))
			C.free(v)
		}
		C.free(unsafe.Pointer(name))
	}
	s.headers.add(unsafe.Pointer(c))
	s.share = s.share && C.rowmesh_can_share(c, C.int(len(hs))) != 0
}

// produce hands over records from..to. It returns how many were taken and the code that stopped it; 0 if all were.
//
// Requires: b.check.
func (s *shim) produce(b *Batch, from, to int) (int, kafka.ErrorCode) {
	n := to - from
	if n == 0 {
		return 0, 0
	}
	var code, share C.int
	if s.share {
		share = 1
	}
	done := C.rowmesh_produce(s.rk, s.topics.at, s.headers.at, s.names.at, share, (*C.struct_rowmesh_record)(unsafe.Pointer(&b.Records[from])), C.int(n),
		(*C.struct_rowmesh_header)(unsafe.Pointer(unsafe.SliceData(b.Own))),
		(*C.char)(unsafe.Pointer(unsafe.SliceData(b.Arena))), &code)
	return int(done), kafka.ErrorCode(code)
}

// flush waits until nothing is queued, at most timeoutMS, and says whether it got there. Confluent's own Flush waits for events in steps of 100 ms, and
// there are none without delivery reports.
func (s *shim) flush(timeoutMS int) bool { return C.rd_kafka_flush(s.rk, C.int(timeoutMS)) == 0 }

// close frees the topics. Requires: no produce after it, and the producer not yet closed.
func (s *shim) close() {
	for i := range s.topics.n {
		C.rd_kafka_topic_destroy((*C.rd_kafka_topic_t)(s.topics.get(i)))
	}
	s.topics.free()
}

// free frees the rest, which records may use that are still queued. Requires: the producer closed.
func (s *shim) free() {
	for i := range s.headers.n {
		C.rd_kafka_headers_destroy((*C.rd_kafka_headers_t)(s.headers.get(i)))
	}
	for i := range s.names.n {
		C.free(s.names.get(i))
	}
	s.names.free()
	s.headers.free()
}

// cTable is a growing array of C pointers in C memory.
type cTable struct {
	at     *unsafe.Pointer
	n, cap int
}

func (t *cTable) slot(i int) *unsafe.Pointer {
	return (*unsafe.Pointer)(unsafe.Add(unsafe.Pointer(t.at), uintptr(i)*unsafe.Sizeof(unsafe.Pointer(nil))))
}

func (t *cTable) get(i int) unsafe.Pointer { return *t.slot(i) }

func (t *cTable) add(p unsafe.Pointer) {
	if t.n == t.cap {
		t.cap = max(16, 2*t.cap)
		t.at = (*unsafe.Pointer)(C.realloc(unsafe.Pointer(t.at), C.size_t(uintptr(t.cap)*unsafe.Sizeof(unsafe.Pointer(nil)))))
	}
	*t.slot(t.n) = p
	t.n++
}

func (t *cTable) free() {
	C.free(unsafe.Pointer(t.at))
	*t = cTable{}
}

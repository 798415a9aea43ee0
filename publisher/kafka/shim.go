package kafka

/*
#cgo LDFLAGS: -Wl,--unresolved-symbols=ignore-all
#include <stdint.h>
#include <stdlib.h>
#include <sys/types.h>

// The few prototypes of librdkafka 2.15 that are used here; the library itself comes with confluent-kafka-go.
typedef struct rd_kafka_s rd_kafka_t;
typedef struct rd_kafka_topic_s rd_kafka_topic_t;
typedef struct rd_kafka_headers_s rd_kafka_headers_t;
typedef struct rd_kafka_error_s rd_kafka_error_t;
typedef struct {
	int vtype;
	union {
		rd_kafka_topic_t *rkt;
		int i;
		int32_t i32;
		struct { void *ptr; size_t size; } mem;
		rd_kafka_headers_t *headers;
		char pad[64];
	} u;
} rd_kafka_vu_t;
rd_kafka_topic_t *rd_kafka_topic_new(rd_kafka_t *rk, const char *topic, void *conf);
void rd_kafka_topic_destroy(rd_kafka_topic_t *rkt);
rd_kafka_headers_t *rd_kafka_headers_new(size_t initial_count);
rd_kafka_headers_t *rd_kafka_headers_copy(const rd_kafka_headers_t *src);
int rd_kafka_header_get_all(const rd_kafka_headers_t *hdrs, size_t idx, const char **namep, const void **valuep, size_t *sizep);
void rd_kafka_headers_destroy(rd_kafka_headers_t *hdrs);
int rd_kafka_header_add(rd_kafka_headers_t *hdrs, const char *name, ssize_t name_size, const void *value, ssize_t value_size);
int rd_kafka_produce(rd_kafka_topic_t *rkt, int32_t partition, int msgflags, void *payload, size_t len, const void *key, size_t keylen, void *opaque);
int rd_kafka_last_error(void);
rd_kafka_error_t *rd_kafka_produceva(rd_kafka_t *rk, const rd_kafka_vu_t *vus, size_t cnt);
int rd_kafka_error_code(const rd_kafka_error_t *error);
void rd_kafka_error_destroy(rd_kafka_error_t *error);
int rd_kafka_flush(rd_kafka_t *rk, int timeout_ms);

enum { V_RKT = 2, V_PARTITION = 3, V_VALUE = 4, V_KEY = 5, V_MSGFLAGS = 7, V_HEADERS = 10, F_COPY = 0x2 };

struct rowmesh_record { int32_t topic, partition, headers, key_off, key_len, val_off, val_len, extra, extra_off, extra_len; };

static int produce_with_headers(rd_kafka_t *rk, rd_kafka_topic_t *rkt, int32_t partition, void *val, size_t val_len, void *key, size_t key_len,
                                rd_kafka_headers_t *h) {
	rd_kafka_vu_t vu[6] = {{V_RKT}, {V_PARTITION}, {V_MSGFLAGS}, {V_VALUE}, {V_KEY}, {V_HEADERS}};
	vu[0].u.rkt = rkt;
	vu[1].u.i32 = partition;
	vu[2].u.i = F_COPY;
	vu[3].u.mem.ptr = val;
	vu[3].u.mem.size = val_len;
	vu[4].u.mem.ptr = key;
	vu[4].u.mem.size = key_len;
	vu[5].u.headers = h;
	rd_kafka_error_t *e = rd_kafka_produceva(rk, vu, 6);
	if (!e)
		return 0; // the message owns h now
	int code = rd_kafka_error_code(e);
	rd_kafka_error_destroy(e);
	rd_kafka_headers_destroy(h);
	return code;
}

// with_extra returns a new header set: one header, then those of a set that may be NULL.
static rd_kafka_headers_t *with_extra(const char *name, const char *value, size_t len, const rd_kafka_headers_t *set) {
	rd_kafka_headers_t *h = rd_kafka_headers_new(8);
	rd_kafka_header_add(h, name, -1, value, (ssize_t)len);
	const char *n;
	const void *v;
	size_t size;
	for (size_t i = 0; set && !rd_kafka_header_get_all(set, i, &n, &v, &size); i++)
		rd_kafka_header_add(h, n, -1, v, (ssize_t)size);
	return h;
}

// rowmesh_produce hands over records until one is refused; it returns how many were taken, and why it stopped in *err.
static int rowmesh_produce(rd_kafka_t *rk, void **topics, void **headers, void **names, const struct rowmesh_record *r, int n, char *arena, int *err) {
	static char empty; // a key or value of no bytes is not a null one
	*err = 0;
	for (int i = 0; i < n; i++, r++) {
		char *key = r->key_len < 0 ? NULL : r->key_len == 0 ? &empty : arena + r->key_off;
		char *val = r->val_len < 0 ? NULL : r->val_len == 0 ? &empty : arena + r->val_off;
		size_t key_len = r->key_len < 0 ? 0 : (size_t)r->key_len, val_len = r->val_len < 0 ? 0 : (size_t)r->val_len;
		rd_kafka_topic_t *rkt = topics[r->topic];
		int code = 0;
		rd_kafka_headers_t *set = r->headers < 0 ? NULL : headers[r->headers];
		if (r->extra >= 0)
			code = produce_with_headers(rk, rkt, r->partition, val, val_len, key, key_len,
			                            with_extra(names[r->extra], arena + r->extra_off, (size_t)r->extra_len, set));
		else if (set)
			code = produce_with_headers(rk, rkt, r->partition, val, val_len, key, key_len, rd_kafka_headers_copy(set));
		else if (rd_kafka_produce(rkt, r->partition, F_COPY, val, val_len, key, key_len, NULL) == -1)
			code = rd_kafka_last_error();
		if (code) {
			*err = code;
			return i;
		}
	}
	return n;
}
*/
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
	return &shim{rk: (*C.rd_kafka_t)(rk.UnsafePointer())}, nil
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
}

// produce returns how many records were taken and the code that stopped it; 0 if all were.
//
// Requires: b.check.
func (s *shim) produce(b *Batch, from int) (int, kafka.ErrorCode) {
	n := len(b.Records) - from
	if n == 0 {
		return 0, 0
	}
	var code C.int
	done := C.rowmesh_produce(s.rk, s.topics.at, s.headers.at, s.names.at, (*C.struct_rowmesh_record)(unsafe.Pointer(&b.Records[from])), C.int(n),
		(*C.char)(unsafe.Pointer(unsafe.SliceData(b.Arena))), &code)
	return int(done), kafka.ErrorCode(code)
}

// flush waits until nothing is queued, at most timeoutMS, and says whether it got there. Confluent's own Flush waits for events in steps of 100 ms, and
// there are none without delivery reports.
func (s *shim) flush(timeoutMS int) bool { return C.rd_kafka_flush(s.rk, C.int(timeoutMS)) == 0 }

// close frees what belongs to the shim. Requires: no produce after it, and the producer not yet closed.
func (s *shim) close() {
	for i := range s.topics.n {
		C.rd_kafka_topic_destroy((*C.rd_kafka_topic_t)(s.topics.get(i)))
	}
	for i := range s.headers.n {
		C.rd_kafka_headers_destroy((*C.rd_kafka_headers_t)(s.headers.get(i)))
	}
	for i := range s.names.n {
		C.free(s.names.get(i))
	}
	s.names.free()
	s.topics.free()
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
